// Takes a scene's bytes apart, moves its Gaussians to a time, and sorts them. Runs in a worker, or in the
// page where there are none. It hears {scene, text} once, then {time, view}; it answers {ready} or {error},
// then {time, order} with the arrays that have changed since the last answer.
function engine(hear, say) {
  "use strict";
  // `scene` and `tracks` are those of the clip that is shown; others stay open in `clips`, a few of them.
  let whole, data, scene, tracks, state = {}, shown = null;
  const clips = new Map(), KEPT = 12;

  // Text of base 85, five characters for four bytes.
  function bytes(text) {
    const values = new Uint8Array(128), out = new Uint32Array(text.length / 5), codes = new TextEncoder().encode(text);
    let value = 0;
    for (let c = 35; c < 127; c++) if (!"&'<>\\`/".includes(String.fromCharCode(c))) values[c] = value++;
    for (let i = 0, at = 0; i < out.length; i++, at += 5) {
      const low = values[codes[at]] + 85 * (values[codes[at + 1]] + 85 * (values[codes[at + 2]] + 85 * values[codes[at + 3]]));
      out[i] = low + 52200625 * values[codes[at + 4]];
    }
    return out.buffer;
  }

  async function inflate(data, [at, size]) {
    // Not through a blob, which would be registered with the browser's own process first.
    const stream = new Response(new Uint8Array(data, at, size)).body;
    return new Uint8Array(await new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  }

  // Columns of whole numbers: planes of bytes, zigzag, perhaps differences from row to row.
  async function columns(data, entry) {
    const plain = await inflate(data, entry.at), rows = entry.rows;
    let at = 0;
    return entry.bytes.map((depth, c) => {
      const delta = entry.delta[c], out = depth > 1 || delta ? new Int32Array(rows) : new Int16Array(rows);
      for (let n = 0; n < rows; n++) out[n] = plain[at + n];
      for (let k = 1; k < depth; k++)
        for (let n = 0, from = at + k * rows; n < rows; n++) out[n] |= plain[from + n] << (8 * k);
      for (let n = 0; n < rows; n++) out[n] = (out[n] >>> 1) ^ -(out[n] & 1);
      if (delta) for (let n = 1; n < rows; n++) out[n] += out[n - 1];
      at += depth * rows;
      return out;
    });
  }

  async function floats(data, entry) {
    const plain = await inflate(data, entry.at), rows = entry.rows, bytes = new Uint8Array(4 * rows);
    for (let k = 0; k < 4; k++) for (let n = 0; n < rows; n++) bytes[4 * n + k] = plain[k * rows + n];
    return new Float32Array(bytes.buffer);
  }

  // A track: its base, and where it moves the modes with their weights and largest weights.
  async function opened(data, entry) {
    const track = { step: entry.step, count: entry.columns };
    if (entry.base) track.base = await columns(data, entry.base);
    if (entry.weights) {
      track.weights = await columns(data, entry.weights);
      track.basis = await floats(data, entry.basis);
      track.most = track.weights.map(w => w.reduce((m, x) => Math.max(m, Math.abs(x)), 0));
    }
    return track;
  }

  // How much of each moment is in a place between them: Catmull and Rom's spline, or a line.
  function shares(place) {
    const last = scene.moments - 1, rows = new Map();
    const first = Math.min(Math.max(Math.floor(place), 0), Math.max(last - 1, 0));
    const f = Math.min(Math.max(place - first, 0), 1);
    const parts = scene.smooth
      ? [f * (f * (2 - f) - 1) / 2, (f * f * (3 * f - 5) + 2) / 2, f * (f * (4 - 3 * f) + 1) / 2, f * f * (f - 1) / 2]
      : [0, 1 - f, f, 0];
    parts.forEach((part, k) => {
      const row = Math.min(Math.max(first + k - 1, 0), last);
      rows.set(row, (rows.get(row) || 0) + part);
    });
    return rows;
  }

  // Room for whole rows of 4096 texels, as textures are filled.
  const padded = (kind, texels) => new kind(4 * 4096 * Math.ceil(texels / 4096));

  // A track's values at a time, one Float32Array a column.
  function values(track, rows, start) {
    const N = scene.count, C = track.count, out = [];
    for (let c = 0; c < C; c++) {
      const column = new Float32Array(N), base = track.base && track.base[c];
      if (base) for (let n = 0; n < N; n++) column[n] = base[n] * track.step;
      else column.fill(start[c]);
      out.push(column);
    }
    if (!track.weights) return out;
    const K = track.weights.length, mixed = new Float64Array(C * K);
    for (const [t, share] of rows)
      for (let i = 0; i < C * K; i++) mixed[i] += share * track.basis[t * C * K + i];
    // A thousand Gaussians at a time stay in the processor's nearest cache.
    for (let from = 0; from < N; from += 1024) {
      const to = Math.min(from + 1024, N);
      for (let k = 0; k < K; k++) {
        const w = track.weights[k];
        for (let c = 0; c < C; c++) {
          const b = mixed[c * K + k], column = out[c];
          if (Math.abs(b) * track.most[k] < track.step / 16) continue;
          for (let n = from; n < to; n++) column[n] += b * w[n];
        }
      }
    }
    return out;
  }

  function rotations(columns, step) {
    const N = scene.count, quats = new Float32Array(4 * N);
    for (let n = 0; n < N; n++) {
      const largest = columns[0][n];
      let rest = 1;
      for (let k = 1; k < 4; k++) {
        const value = columns[k][n] * step;
        quats[4 * n + (largest + k) % 4] = value;
        rest -= value * value;
      }
      quats[4 * n + largest] = Math.sqrt(Math.max(rest, 0));
    }
    return quats;
  }

  async function load(message) {
    whole = message.scene;
    data = bytes(message.text);
    await choose(0);
    say({ ready: true });
  }

  // Turn to the clip nearest to a time, the earlier of two; gives whether it is another.
  async function choose(time) {
    let wanted = whole.clips[0];
    for (const clip of whole.clips)
      if (Math.abs(clip.time - time) < Math.abs(wanted.time - time)) wanted = clip;
    if (scene === wanted) return false;
    let made = clips.get(wanted);
    if (!made) {
      made = {};
      const names = ["means", "turns", "log_scales", "opacities", "colours", "harmonics"];
      const [three, ...all] = await Promise.all([columns(data, wanted.quats.base), ...names.map(name => opened(data, wanted[name]))]);
      names.forEach((name, i) => { made[name] = all[i]; });
      scene = wanted;
      made.quats = rotations(three, wanted.quats.step);
      clips.set(wanted, made);
      if (clips.size > KEPT) clips.delete(clips.keys().next().value);
    }
    [scene, tracks] = [wanted, made];
    state = { order: new Uint32Array(scene.count), spare: new Uint32Array(scene.count) };
    return true;
  }

  // Places, opacities and rotations: two texels of four floats for each Gaussian.
  function poses(rows) {
    const N = scene.count, out = padded(Float32Array, 2 * N), q = tracks.quats;
    const [x, y, z] = values(tracks.means, rows), [o] = values(tracks.opacities, rows);
    const turns = tracks.turns.weights ? values(tracks.turns, rows, [1, 0, 0, 0]) : null;
    for (let n = 0; n < N; n++) {
      const opacity = scene.opacities.logits ? 1 / (1 + Math.exp(-o[n])) : Math.min(Math.max(o[n], 0), 1);
      const at = 8 * n;
      out[at] = x[n]; out[at + 1] = y[n]; out[at + 2] = z[n]; out[at + 3] = opacity;
      const W = q[4 * n], X = q[4 * n + 1], Y = q[4 * n + 2], Z = q[4 * n + 3];
      let a = 1, b = 0, c = 0, d = 0;
      if (turns) { a = turns[0][n]; b = turns[1][n]; c = turns[2][n]; d = turns[3][n]; }
      const unit = 1 / Math.max(Math.sqrt((a * a + b * b + c * c + d * d) * (W * W + X * X + Y * Y + Z * Z)), 1e-12);
      out[at + 4] = (a * W - b * X - c * Y - d * Z) * unit;
      out[at + 5] = (a * X + b * W + c * Z - d * Y) * unit;
      out[at + 6] = (a * Y - b * Z + c * W + d * X) * unit;
      out[at + 7] = (a * Z + b * Y - c * X + d * W) * unit;
    }
    return out;
  }

  function sizes(rows) {
    const N = scene.count, out = padded(Float32Array, N), log = values(tracks.log_scales, rows);
    for (let n = 0; n < N; n++) for (let c = 0; c < 3; c++) out[4 * n + c] = Math.exp(log[c][n]);
    return out;
  }

  // Harmonics as whole numbers of their steps: one texel of four for three numbers of a Gaussian.
  function colours(rows) {
    const N = scene.count, K = (scene.degree + 1) ** 2, out = padded(Int16Array, K * N);
    const both = [[tracks.colours, 0], [tracks.harmonics, 1]];
    for (const [track, first] of both) {
      if (!track.count) continue;
      // What stands still is in whole steps already.
      const all = track.weights ? values(track, rows) : track.base, inverse = track.weights ? 1 / track.step : 1;
      for (let i = 0; i < track.count; i++) {
        const column = all[i];
        for (let n = 0, at = 4 * (first + Math.floor(i / 3)) + i % 3; n < N; n++, at += 4 * K)
          out[at] = Math.min(Math.max(Math.round(column[n] * inverse), -32767), 32767);
      }
    }
    return out;
  }

  // Indices from the nearest to the farthest: a radix sort of the depths' bits, exact, ties by index.
  function sorted(view) {
    const N = scene.count, p = state.poses, keys = state.keys || (state.keys = new Uint32Array(N));
    const depth = state.depth || (state.depth = new Float32Array(1)), bits = new Uint32Array(depth.buffer);
    let count = 0, from = state.order, to = state.spare;
    for (let n = 0; n < N; n++) {
      const d = view[0] * p[8 * n] + view[1] * p[8 * n + 1] + view[2] * p[8 * n + 2] + view[3];
      if (!(d >= whole.near) || p[8 * n + 3] < 1 / 255) continue;
      depth[0] = d;
      keys[n] = bits[0];
      from[count++] = n;
    }
    for (const shift of [0, 11, 22]) {
      const starts = new Uint32Array(2049);
      for (let i = 0; i < count; i++) starts[((keys[from[i]] >>> shift) & 2047) + 1]++;
      for (let i = 0; i < 2048; i++) starts[i + 1] += starts[i];
      for (let i = 0; i < count; i++) to[starts[(keys[from[i]] >>> shift) & 2047]++] = from[i];
      [from, to] = [to, from];
    }
    return from.slice(0, count);
  }

  async function show({ time, view, tag }) {
    const answer = { time, tag }, first = await choose(time) || shown === null, send = [];
    if (first || (shown !== time && scene.moments > 1)) {
      const rows = shares(whole.duration > 0 ? time / whole.duration * (scene.moments - 1) : 0);
      if (first) answer.degree = scene.degree;
      state.poses = poses(rows);
      answer.poses = state.poses.slice();
      if (first || tracks.log_scales.weights) answer.sizes = sizes(rows);
      if (first || tracks.colours.weights || tracks.harmonics.weights) answer.colours = colours(rows);
      shown = time;
    }
    answer.order = sorted(view);
    for (const name of ["poses", "sizes", "colours", "order"]) if (answer[name]) send.push(answer[name].buffer);
    say(answer, send);
  }

  hear(async message => {
    try {
      await (message.scene ? load(message) : show(message));
    } catch (error) {
      say({ error: String(error && error.message || error) });
    }
  });
}
