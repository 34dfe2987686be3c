import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PASS_BY = """
from tests.chaos.doomed_consumer import Death, Point
death = Death(Point.COMMIT, 2)
{arm}
for point in (Point.ENGINE, Point.ENGINE, {points}):
    death.passing(point, before=lambda: print("tidied", flush=True))
    print("passed", flush=True)
"""


@pytest.mark.parametrize(
    ("arm", "points", "said", "exit_code"),
    [
        (
            "death.arm()",
            "Point.COMMIT, Point.COMMIT, Point.COMMIT",
            ["passed"] * 3 + ["tidied"],
            -signal.SIGKILL,
        ),
        ("death.arm()", "Point.COMMIT", ["passed"] * 3, 0),
        ("", "Point.COMMIT, Point.COMMIT", ["passed"] * 4, 0),
    ],
)
def test_death_comes_at_the_last_pass_of_its_point_and_only_when_armed(
    arm: str, points: str, said: list[str], exit_code: int
) -> None:
    program = PASS_BY.format(arm=arm, points=points)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )

    assert done.stdout.split() == said
    assert done.returncode == exit_code
