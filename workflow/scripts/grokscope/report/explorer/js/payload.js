// The packed results: a header and typed arrays, see packing.py.

const TYPES = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array,
  f4: Float32Array, f8: Float64Array,
};

/** Bytes of an element's base64 text, decompressed, as a Response. */
export function unpacked(element) {
  const bytes = decoded(element.textContent.trim());
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream);
}

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Header and arrays by name. */
export class Payload {
  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    this.buffer = buffer;
    this.start = 4 + length;
  }

  static async read(element) {
    return new Payload(await unpacked(element).arrayBuffer());
  }

  array(name) {
    const [offset, length, type] = this.header.segments[name];
    return new TYPES[type](this.buffer, this.start + offset, length);
  }
}

/** Where each part begins if parts of these lengths lie one after the other, and the end. */
export function offsets(lengths) {
  const begin = [0];
  for (const length of lengths) begin.push(begin[begin.length - 1] + length);
  return begin;
}

/** Small integers from the low and then the high bytes of their folded differences. */
export function fromDeltas(bytes) {
  const n = bytes.length / 2;
  const values = new Int32Array(n);
  for (let i = 0, sum = 0; i < n; i++) {
    const folded = bytes[i] + 256 * bytes[n + i];
    sum += folded % 2 ? -(folded + 1) / 2 : folded / 2;
    values[i] = sum;
  }
  return values;
}
