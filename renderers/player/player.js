// The page: time, cameras, controls. `window.player` is its interface for scripts and tests.
(() => {
  "use strict";
  const q = selector => document.querySelector(selector);
  const header = JSON.parse(q("#header").textContent), { scenes, cameras } = header;
  const canvas = q("canvas"), bar = q("#bar"), slider = q("#time"), speed = q("#speed"), message = q("#message");
  const duration = Math.max(...scenes.map(s => s.duration)), up = header.up;
  const add = (a, b, f = 1) => a.map((x, i) => x + f * b[i]), dot = (a, b) => a.reduce((s, x, i) => s + x * b[i], 0);
  let time = 0, playing = false, last = 0, share = 1, moved = 0, slow = 0, waiting = [], drawn = "";
  let camera, drawer, panes, current = 0, stale = true;
  const held = new Set();

  function fail(error) {
    message.textContent = String(error && error.message || error);
    message.hidden = false;
    message.className = "error";
    document.body.dataset.state = "error";
  }

  // A worker for each scene, which gets its part of the page's data; where a page may have none, the page does its work.
  function connect(pane, text) {
    const answer = event => heard(pane, event.data || event);
    try {
      const source = `(${engine})(f => { onmessage = e => f(e.data) }, (m, t) => postMessage(m, t || []))`;
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
      worker.onmessage = answer;
      worker.onerror = () => { worker.terminate(); alone(pane, text); };
      pane.say = m => worker.postMessage(m);
    } catch { alone(pane, text); return; }
    pane.say({ scene: pane.scene, text });
  }

  function alone(pane, text) {
    let tell;
    engine(f => { tell = f; }, m => heard(pane, m));
    pane.say = m => setTimeout(() => tell(m));
    pane.say({ scene: pane.scene, text });
  }

  function heard(pane, answer) {
    if (document.body.dataset.state === "error") return;
    if (answer.error) return fail(answer.error);
    if (answer.ready) { pane.ready = true; message.hidden = panes.every(p => p.ready); return refresh(); }
    drawer.update(pane.model, answer);
    pane.busy = false;
    pane.has = answer.tag;
    refresh();
  }

  // Ways to look at the scene: one of the data's cameras, then whatever the hands make of it.
  function take(index) {
    current = (index + cameras.length) % cameras.length;
    const { viewmat, fy, cx, cy, width, height, distance } = cameras[current];
    const R = viewmat.slice(0, 3).map(row => row.slice(0, 3)), t = viewmat.slice(0, 3).map(row => row[3]);
    const eye = [0, 1, 2].map(i => -(R[0][i] * t[0] + R[1][i] * t[1] + R[2][i] * t[2]));
    camera = { R, eye, target: add(eye, R[2], distance), fx: cameras[current].fx, fy, cx, cy, width, height };
    refresh();
  }

  function rotated(v, axis, angle) {
    const c = Math.cos(angle), s = Math.sin(angle), along = dot(v, axis) * (1 - c);
    const cross = [axis[1] * v[2] - axis[2] * v[1], axis[2] * v[0] - axis[0] * v[2], axis[0] * v[1] - axis[1] * v[0]];
    return v.map((x, i) => x * c + cross[i] * s + axis[i] * along);
  }

  function turn(axis, angle) {
    camera.R = camera.R.map(row => rotated(row, axis, angle));
    camera.eye = add(camera.target, rotated(add(camera.eye, camera.target, -1), axis, angle));
  }

  function orbit(dx, dy) {
    turn(up, -dx);
    // Not over the poles: what was right would be left.
    const rise = Math.asin(Math.max(-1, Math.min(1, -dot(camera.R[2], up)))), wanted = rise + dy;
    const kept = Math.abs(wanted) > 1.5 && Math.abs(wanted) > Math.abs(rise) ? 0 : dy;
    turn(camera.R[0], -kept);
    refresh();
  }

  const distance = () => Math.hypot(...add(camera.target, camera.eye, -1));

  function shift(x, y, z = 0) {
    for (const end of ["eye", "target"])
      camera[end] = add(add(add(camera[end], camera.R[0], x), camera.R[1], y), camera.R[2], z);
    refresh();
  }

  function pan(dx, dy) {
    const part = panes[0].part, f = camera.fy * Math.min(part.width / camera.width, part.height / camera.height);
    const size = distance() * devicePixelRatio / f;
    shift(-dx * size, -dy * size);
  }

  function zoom(factor) {
    camera.eye = add(camera.target, add(camera.eye, camera.target, -1), factor);
    refresh();
  }

  // The canvas' pixels, and every scene's part of them.
  function lay() {
    const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const W = Math.max(1, Math.round(box.width * ratio)), H = Math.max(1, Math.round(box.height * ratio));
    if (canvas.width !== W || canvas.height !== H) { canvas.width = W; canvas.height = H; }
    let best = { side: 0 };
    for (let across = 1; across <= panes.length; across++) {
      const down = Math.ceil(panes.length / across);
      const side = Math.min(W / across / camera.width, H / down / camera.height);
      if (side > best.side) best = { side, across, down };
    }
    const { across, down } = best;
    panes.forEach((pane, i) => {
      const column = i % across, row = Math.floor(i / across);
      const x = Math.round(column * W / across), top = Math.round(row * H / down);
      const width = Math.round((column + 1) * W / across) - x, height = Math.round((row + 1) * H / down) - top;
      pane.part = { x, y: H - top - height, width, height };
      pane.label.style.left = 100 * x / W + "%";
      pane.label.style.top = 100 * top / H + "%";
    });
  }

  function lens(part) {
    const scale = Math.min(part.width / camera.width, part.height / camera.height);
    const { R, eye } = camera, t = R.map(row => -dot(row, eye));
    return {
      eye, view: [R[0][0], R[1][0], R[2][0], 0, R[0][1], R[1][1], R[2][1], 0, R[0][2], R[1][2], R[2][2], 0, ...t, 1],
      focal: [camera.fx * scale, camera.fy * scale],
      centre: [part.width / 2 + (camera.cx - camera.width / 2) * scale, part.height / 2 + (camera.cy - camera.height / 2) * scale],
    };
  }

  function refresh() { stale = true; }

  const tag = () => JSON.stringify([time, camera.R[2], camera.eye]);

  function ask(pane) {
    const wanted = tag();
    if (!pane.ready || pane.busy || pane.has === wanted) return;
    pane.busy = true;
    const forward = camera.R[2], at = Math.min(Math.max(time, 0), pane.scene.duration);
    pane.say({ time: at, view: [...forward, -dot(forward, camera.eye)], tag: wanted });
  }

  function tick(now) {
    const seconds = Math.min((now - last) / 1000, 0.25);
    last = now;
    if (playing && duration > 0) seek((time + seconds * speed.value) % duration, true);
    if (held.size) {
      const step = distance() * seconds * 0.8, on = key => held.has(key) ? step : 0;
      shift(on("d") - on("a"), on("q") - on("e"), on("w") - on("s"));
    }
    if (stale && panes.every(p => p.ready)) {
      // Where frames come slowly (no graphics card), fewer pixels are drawn while something moves.
      slow = 0.8 * slow + 0.2 * seconds;
      if (now - moved > 250) slow = 0;
      moved = now;
      if (slow > 0.06) { share = Math.max(0.35, share * 0.85); slow = 0.03; }
      else if (slow < 0.02) share = Math.min(1, share * 1.02);
      stale = false;
      paint(share);
    } else if (drawn === "part" && now - moved > 150 && panes.every(p => !p.busy)) paint(1);
    if (drawn === "whole" && !stale && waiting.length) { waiting.forEach(done => done()); waiting = []; }
    requestAnimationFrame(tick);
  }

  // Draw what there is; it is whole if that is all pixels of the present time, sorted for the present camera.
  function paint(part) {
    lay();
    panes.forEach(ask);
    drawn = "part";
    if (panes.some(p => !p.has)) return;
    for (const pane of panes) drawer.draw(pane.model, lens(pane.part), pane.part, part);
    if (part === 1 && panes.every(p => p.has === tag())) drawn = "whole";
  }

  function seek(value, going) {
    time = Math.min(Math.max(value, 0), duration);
    if (!going) play(false);
    slider.value = time;
    q("output").textContent = `${time.toFixed(2)} / ${duration.toFixed(2)} s`;
    refresh();
  }

  function play(on) {
    playing = on && duration > 0;
    q("#play").setAttribute("aria-label", playing ? "Pause" : "Play");
    q("#play").dataset.on = playing;
  }

  function hands() {
    const pointers = new Map();
    canvas.onpointerdown = e => { canvas.setPointerCapture(e.pointerId); pointers.set(e.pointerId, [e.clientX, e.clientY]); canvas.focus(); };
    canvas.onpointerup = canvas.onpointercancel = e => pointers.delete(e.pointerId);
    canvas.onpointermove = e => {
      const before = pointers.get(e.pointerId);
      if (!before) return;
      const here = [e.clientX, e.clientY], [dx, dy] = add(here, before, -1);
      const other = [...pointers].find(([id]) => id !== e.pointerId);
      pointers.set(e.pointerId, here);
      if (other) {
        const apart = p => Math.hypot(...add(p, other[1], -1));
        zoom(Math.max(apart(before), 1) / Math.max(apart(here), 1));
        pan(dx / 2, dy / 2);
      } else if (e.buttons > 1 || e.shiftKey || e.ctrlKey) pan(dx, dy);
      else orbit(dx / 160, dy / 160);
    };
    canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(Math.max(-1, Math.min(1, e.deltaY / 600)))); }, { passive: false });
    canvas.oncontextmenu = e => e.preventDefault();
    canvas.ondblclick = () => take(current);
    slider.oninput = () => seek(+slider.value);
    q("#play").onclick = () => play(!playing);
    q("#reset").onclick = () => take(0);
    q("#next").onclick = () => take(current + 1);
    q("#full").onclick = () => document.fullscreenElement ? document.exitFullscreen() : q("#player").requestFullscreen();
    // After a click the keyboard belongs to the scene; who came by keyboard stays where they are.
    bar.addEventListener("click", e => { if (e.detail && e.target.closest("button")) canvas.focus(); });
    const moment = duration / Math.max(Math.max(...scenes.map(s => s.moments)) - 1, 1);
    const keys = {
      " ": () => play(!playing), arrowleft: () => seek(time - moment), arrowright: () => seek(time + moment),
      home: () => seek(0), end: () => seek(duration), c: () => take(current + 1), r: () => take(0), f: () => q("#full").click(),
      "+": () => zoom(0.9), "-": () => zoom(1 / 0.9), "?": () => { q("details").open = !q("details").open; },
    };
    addEventListener("keydown", e => {
      const key = e.key.toLowerCase();
      if (e.ctrlKey || e.metaKey || e.altKey || e.target === speed || (key === " " && e.target.tagName === "BUTTON") || (e.target.type === "range" && key.startsWith("arrow"))) return;
      if ("wasdqe".includes(key)) held.add(key);
      else if (keys[key]) { keys[key](); e.preventDefault(); }
    });
    addEventListener("keyup", e => held.delete(e.key.toLowerCase()));
    addEventListener("blur", () => held.clear());
    new ResizeObserver(refresh).observe(canvas);
    canvas.addEventListener("webglcontextlost", () => fail("The graphics driver gave up this page; load it again."));
  }

  function open() {
    panes = scenes.map(scene => ({ scene, label: document.createElement("span") }));
    // The workers take the data apart while the graphics driver compiles.
    const text = q("#data").textContent;
    for (const pane of panes) connect(pane, text.slice(...pane.scene.bytes.map(at => at / 4 * 5)));
    drawer = new Drawer(canvas);
    for (const pane of panes) {
      pane.model = drawer.model(pane.scene);
      pane.label.textContent = pane.scene.name;
      pane.label.className = "label";
      pane.label.hidden = panes.length < 2;
      q("#stage").append(pane.label);
    }
    slider.max = duration;
    bar.hidden = false;
    if (!duration) bar.dataset.still = "";
    q("#next").hidden = cameras.length < 2;
    take(0);
    hands();
    seek(header.time);
    requestAnimationFrame(now => { last = now; tick(now); });
    player.settled().then(() => { document.body.dataset.state = "ready"; if (header.play) play(true); });
  }

  // settled(): once everything on the page is drawn in full at the present time and camera.
  window.player = {
    seek, play, take, orbit, pan, zoom,
    settled: () => new Promise(done => { waiting.push(done); refresh(); }),
    state: () => ({ time, duration, playing, eye: camera.eye, panes: panes.map(p => ({ name: p.scene.name, part: p.part, ...lens(p.part) })) }),
  };
  try { open(); } catch (error) { fail(error); }
})();
