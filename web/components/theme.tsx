import { useState } from "react";
import { Icon, paths } from "./icons.tsx";

/** The other theme than the one that is seen; the choice stays in this browser. */
export function ThemeButton() {
  const [isDark, setIsDark] = useState(
    () => (document.documentElement.dataset["theme"] ?? (prefersDark() ? "dark" : "light")) === "dark",
  );
  const toggle = () => {
    const theme = isDark ? "light" : "dark";
    document.documentElement.dataset["theme"] = theme;
    localStorage.setItem("theme", theme);
    setIsDark(!isDark);
    window.dispatchEvent(new Event("theme"));
  };
  const label = isDark ? "Light theme" : "Dark theme";
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={toggle}>
      <Icon path={isDark ? paths.sun : paths.moon} />
    </button>
  );
}

function prefersDark(): boolean {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
