// The colour scheme that was chosen here, before anything is painted. Private windows may forbid the storage.
try {
  const theme = localStorage.getItem("framebus.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // the system's scheme then
}
