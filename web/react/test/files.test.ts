import { describe, expect, it } from "vitest";
import { refusalOf } from "../src/components/files/acceptable.js";
import { boxOf, kindOf } from "../src/components/files/kinds.js";
import { pastedFiles } from "../src/components/files/pasted.js";
import { sizeOf } from "../src/components/files/size.js";

const MB = 1_048_576;
const limits = { bytes: 25 * MB, files: 10 };
const NOON = new Date(2026, 10, 12, 12, 5, 9).getTime();

describe("refusalOf", () => {
  const why = (name: string, size = 10, staged = 0) => refusalOf({ name, size }, staged, limits);

  it("takes pictures, recordings, documents, X-rays, and what has no ending", () => {
    for (const name of ["a.JPG", "b.heic", "c.mov", "d.pdf", "e.dcm", "I0000001", "Dr. Bo's notes.txt", ".. x"]) {
      expect(why(name)).toBeNull();
    }
  });

  it("refuses in words what is too large, too much, empty, or of another kind", () => {
    expect(why("x.jpg", 34 * MB)).toBe("This file is too large (34 MB). The limit here is 25 MB.");
    expect(why("x.jpg", 25 * MB)).toBeNull();
    expect(why("x.jpg", 0)).toBe("This file is empty.");
    expect(why("x.jpg", 10, 10)).toBe("A message has at most 10 files.");
    for (const name of ["a.html", "b.SVG", "c.exe", "photo.jpg.js"]) expect(why(name)).toMatch(/kind/);
  });
});

describe("pastedFiles", () => {
  const paste = (names: readonly string[], text = "") => {
    const files = names.map(
      (name) => new File(["x"], name, { type: name.endsWith("txt") ? "text/plain" : "image/png" }),
    );
    const data = { files: files as unknown as FileList, getData: () => text };
    return pastedFiles(data, NOON).map(({ name }) => name);
  };

  it("gives a lone picture a name of its time", () => {
    expect(paste(["image.png"])).toEqual(["Pasted picture 2026-11-12 12.05.09.png"]);
  });

  it("leaves files their names, also where a file manager puts them beside as text", () => {
    expect(paste(["tooth.png", "notes.txt"])).toEqual(["tooth.png", "notes.txt"]);
    expect(paste(["tooth.png", "notes.txt"], "tooth.png\nnotes.txt")).toEqual(["tooth.png", "notes.txt"]);
  });

  it("takes none where there is text: that is what was copied", () => {
    expect(paste(["image.png"], "a cell of Excel")).toEqual([]);
    expect(paste(["chart.png"], "a page of Word")).toEqual([]);
    expect(paste([], "plain")).toEqual([]);
  });
});

describe("a file's kind, box and size", () => {
  it("is what a browser does with it", () => {
    const kinds = ["image/jpeg", "image/heic", "video/quicktime", "audio/ogg", "application/pdf", "application/zip"];
    expect(kinds.map((type) => kindOf({ type }))).toEqual(["picture", "other", "video", "audio", "pdf", "other"]);
  });

  it("fits, and never grows", () => {
    expect(boxOf({ width: 640, height: 480 }, 320)).toEqual({ width: 320, height: 240 });
    expect(boxOf({ width: 100, height: 4_000 }, 320)).toEqual({ width: 8, height: 320 });
    expect(boxOf({ width: 30, height: 20 }, 320)).toEqual({ width: 30, height: 20 });
    expect(boxOf({ width: null, height: null }, 320)).toBeNull();
  });

  it("is said as people say it", () => {
    expect([999, 850_000, 1_300_000, 34 * MB].map(sizeOf)).toEqual(["999 B", "830 kB", "1.2 MB", "34 MB"]);
  });
});
