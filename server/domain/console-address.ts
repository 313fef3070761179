/** The address of the console, as people reach it. */
export function homeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `https://${host.includes(":") ? `[${host}]` : host}${port === 443 ? "" : `:${port}`}/`;
}
