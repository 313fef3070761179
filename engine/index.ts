/** The door of the engine. */
export const engineVersion = "0.62.0";
