import type { Tone } from "../view/words.ts";

/** Signs that differ in shape, for those who see no difference in colour. */
const signs: Readonly<Record<Tone, string>> = {
  ok: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm3.1 4.9-3.7 4.2a.8.8 0 0 1-1.1.1L4.6 9.2l1-1.2 1.1.9 3.2-3.6 1.2 1.1Z",
  busy: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm0 1.6v9.8a4.9 4.9 0 0 1 0-9.8Z",
  warn: "M8.7 2a.8.8 0 0 0-1.4 0L1.2 12.8c-.3.5.1 1.2.7 1.2h12.2c.6 0 1-.7.7-1.2L8.7 2ZM7.2 6h1.6v4H7.2V6Zm0 5h1.6v1.6H7.2V11Z",
  bad: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3l3.8-3.8Zm.4 3.1L4.6 5.7 6.9 8l-2.3 2.3 1.1 1.1L8 9.1l2.3 2.3 1.1-1.1L9.1 8l2.3-2.3-1.1-1.1L8 6.9 5.7 4.6Z",
  idle: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm0 1.6a4.9 4.9 0 1 1 0 9.8 4.9 4.9 0 0 1 0-9.8Zm-2.6 4.1v1.6h5.2V7.2H5.4Z",
};

export function Sign({ tone }: { readonly tone: Tone }) {
  return <Icon path={signs[tone]} className={`sign tone-${tone}`} />;
}

export function Icon({ path, className = "icon" }: { readonly path: string; readonly className?: string }) {
  return (
    <svg
      className={className}
      viewBox="0 0 16 16"
      width="16"
      height="16"
      aria-hidden="true"
      focusable="false"
    >
      <path d={path} fill="currentColor" fillRule="evenodd" />
    </svg>
  );
}

export const paths = {
  fleet: "M2 2h5v5H2V2Zm7 0h5v5H9V2ZM2 9h5v5H2V9Zm7 0h5v5H9V9Z",
  clusters: "M2 3h12v3H2V3Zm0 4h12v3H2V7Zm0 4h12v3H2v-3Zm2-7v1h1V4H4Zm0 4v1h1V8H4Zm0 4v1h1v-1H4Z",
  rollouts: "M2 11h3v3H2v-3Zm4.5-4h3v7h-3V7ZM11 2h3v12h-3V2Z",
  bundles:
    "M8 1.2 14 4.500v7L8 14.800 2 11.500v-7L8 1.200Zm0 1.800L4.700 4.800 8 6.600l3.300-1.800L8 3ZM3.500 6.100v4.500l3.700 2V8.100l-3.700-2Zm9 0-3.700 2v4.500l3.700-2V6.100Z",
  alerts:
    "M8 1a1 1 0 0 1 1 1v.4a4.500 4.500 0 0 1 3.500 4.400c0 2.900.9 3.900 1.500 4.700H2c.6-.8 1.500-1.800 1.500-4.700A4.500 4.500 0 0 1 7 2.400V2a1 1 0 0 1 1-1ZM6 13h4a2 2 0 0 1-4 0Z",
  audit: "M3 1.500h7l3 3v10H3v-13Zm1.500 1.500v10h7V5.500H9V3H4.500ZM6 7.500h4V9H6V7.500Zm0 3h4V12H6v-1.500Z",
  reports:
    "M3 1.500h10v13H3v-13Zm1.500 1.500v10h7V3h-7ZM6 4.500h4V6H6V4.500Zm0 3h4V9H6V7.500Zm0 3h2.500V12H6v-1.500Z",
  rules:
    "M2 3h2v2H2V3Zm4 .250h8v1.500H6v-1.500ZM2 7h2v2H2V7Zm4 .250h8v1.500H6v-1.500ZM2 11h2v2H2v-2Zm4 .250h8v1.500H6v-1.500Z",
  search:
    "M7 2a5 5 0 1 0 3 9l3 3 1-1-3-3A5 5 0 0 0 7 2Zm0 1.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7Z",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6Zm-.7-4h1.400v2.200H7.300V1Zm0 11.800h1.400V15H7.300v-2.200ZM1 7.300h2.200v1.400H1V7.300Zm11.800 0H15v1.400h-2.200V7.300ZM2.600 3.600l1-1 1.500 1.500-1 1-1.500-1.500Zm8.300 8.300 1-1 1.500 1.500-1 1-1.500-1.500Zm2.500-8.300-1.500 1.500-1-1 1.500-1.500 1 1ZM5.100 11.900l-1.500 1.500-1-1 1.500-1.500 1 1Z",
  moon: "M6.500 1.800a6.300 6.300 0 1 0 7.700 7.700A5.200 5.200 0 0 1 6.500 1.800Z",
  close: "m4 3 4 4 4-4 1 1-4 4 4 4-1 1-4-4-4 4-1-1 4-4-4-4 1-1Z",
  copy: "M5 1.500h8.500V11H12V3H5V1.500ZM2.500 5H10v9.500H2.500V5ZM4 6.500V13h4.500V6.500H4Z",
} as const;
