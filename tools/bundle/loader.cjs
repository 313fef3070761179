"use strict";
// Runs a packed program; it lies in it as text, see `pack.ts`. Plain JavaScript in the CommonJS way, as what it loads.
const { fstatSync, openSync, readSync } = require("node:fs");
const { pathToFileURL } = require("node:url");

/**
 * Starts the program's first piece. `index` says where in the program's file which piece lies. The file stays open as long as it runs, so that another
 * may take its place meanwhile; one that was written over is noticed.
 */
module.exports = function start(program, index, first) {
  const Module = program.constructor;
  const loaded = new Map();
  const self = {
    dirname: program.path,
    filename: program.filename,
    url: pathToFileURL(program.filename).href,
  };

  const file = openSync(program.filename, "r");
  const { mtimeMs, size } = fstatSync(file);

  function load(name) {
    const known = loaded.get(name);
    if (known !== undefined) return known.exports;
    // Beside the program, as far as anybody asks; the name shows in the stack of a bug.
    const filename = `${program.filename}#${name.slice("./".length)}`;
    const piece = new Module(filename, program);
    piece.filename = filename;
    piece.paths = program.paths;
    piece.require = (id) => {
      if (id === "#self") return self;
      return Object.hasOwn(index, id) ? load(id) : program.require(id);
    };
    // Before it runs: pieces may need each other.
    loaded.set(name, piece);
    try {
      // The way of Node's own loader, with its compile cache.
      piece._compile(textOf(name), filename);
    } catch (error) {
      loaded.delete(name);
      throw error;
    }
    piece.loaded = true;
    return piece.exports;
  }

  function textOf(name) {
    const [begin, end] = index[name];
    const bytes = Buffer.allocUnsafe(end - begin);
    const read = readSync(file, bytes, 0, bytes.length, begin);
    const now = fstatSync(file);
    if (read !== bytes.length || now.mtimeMs !== mtimeMs || now.size !== size) {
      throw new Error(`${program.filename} was written over while it ran: start it again`);
    }
    const lies = bytes.latin1Slice();
    if (lies.startsWith('"')) return JSON.parse(lies);
    return require("node:zlib").inflateRawSync(Buffer.from(lies, "base64")).latin1Slice();
  }

  load(first);
};
