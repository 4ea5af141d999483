// Puts the remembered theme on before the first paint; a module would come too late, and the page would flash.
"use strict";
(() => {
  try {
    const theme = localStorage.getItem("hopline.theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // Storage may be forbidden; then the system's theme is taken.
  }
})();
