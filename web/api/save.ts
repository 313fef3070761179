/** Hands a text to the browser as a file. It is never opened here, so that nothing in it can act as this page. */
export function save(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser takes the file before the next turn; what stays would be kept as long as the page.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
