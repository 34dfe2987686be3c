"""The images and docker-compose.yml, built and run by Docker itself: `make test-docker`."""
