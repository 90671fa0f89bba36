// Draws sorted Gaussians with WebGL2 as clay4d's rasteriser does: EWA projection, alpha from 1/255 to 0.999,
// nearest first, into a buffer of half floats where there is one.
const VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp sampler2D; precision highp isampler2D;
layout(location=0) in uint index;
uniform sampler2D poses, sizes; uniform isampler2D colours;
uniform mat4 view; uniform vec3 eye; uniform vec2 focal, centre, size, steps; uniform float eps; uniform int degree;
uniform bool antialiased;
flat out vec4 shade; out vec2 corner;
ivec2 place(int n) { return ivec2(n & 4095, n >> 12); }
vec3 harmonic(int n) { return vec3(texelFetch(colours, place(n), 0).rgb); }
vec3 seen(int first, vec3 d) {
  vec3 sum = 0.28209479 * steps.x * harmonic(first), rest = vec3(0);
  float x = d.x, y = d.y, z = d.z, xx = x*x, yy = y*y, zz = z*z;
  if (degree > 0) rest += 0.48860251 * (z*harmonic(first+2) - y*harmonic(first+1) - x*harmonic(first+3));
  if (degree > 1) rest += 1.09254843 * (x*y*harmonic(first+4) - y*z*harmonic(first+5) - x*z*harmonic(first+7))
    + 0.31539157*(2.0*zz - xx - yy)*harmonic(first+6) + 0.54627422*(xx - yy)*harmonic(first+8);
  if (degree > 2) rest += -0.59004359*y*(3.0*xx - yy)*harmonic(first+9) + 2.89061144*x*y*z*harmonic(first+10)
    - 0.45704580*y*(4.0*zz - xx - yy)*harmonic(first+11) + 0.37317633*z*(2.0*zz - 3.0*xx - 3.0*yy)*harmonic(first+12)
    - 0.45704580*x*(4.0*zz - xx - yy)*harmonic(first+13) + 1.44530572*z*(xx - yy)*harmonic(first+14)
    - 0.59004359*x*(xx - 3.0*yy)*harmonic(first+15);
  return max(sum + steps.y * rest + 0.5, 0.0);
}
void main() {
  gl_Position = vec4(0, 0, 2, 1);
  shade = vec4(0); corner = vec2(0);
  int n = int(index);
  vec4 p = texelFetch(poses, place(2*n), 0), q = texelFetch(poses, place(2*n + 1), 0);
  vec3 s = texelFetch(sizes, place(n), 0).xyz, c = (view * vec4(p.xyz, 1)).xyz;
  float w = q.x, x = q.y, y = q.z, z = q.w;
  mat3 R = mat3(1.0 - 2.0*(y*y + z*z), 2.0*(x*y + w*z), 2.0*(x*z - w*y),
                2.0*(x*y - w*z), 1.0 - 2.0*(x*x + z*z), 2.0*(y*z + w*x),
                2.0*(x*z + w*y), 2.0*(y*z - w*x), 1.0 - 2.0*(x*x + y*y));
  mat3 V = transpose(mat3(view) * R * mat3(s.x, 0, 0, 0, s.y, 0, 0, 0, s.z));
  vec2 margin = 0.15 * size / focal;
  vec2 l = clamp(c.xy / c.z, -(centre / focal + margin), (size - centre) / focal + margin), j = focal / c.z;
  vec3 u = j.x * (V[0] - l.x * V[2]), v = j.y * (V[1] - l.y * V[2]), area = cross(u, v);
  float xx = dot(u, u), xy = dot(u, v), yy = dot(v, v), plain = dot(area, area);
  float det = plain + eps * (xx + yy) + eps * eps;
  float opacity = p.w * (antialiased ? sqrt(plain / det) : 1.0);
  if (!(det > 0.0) || opacity < 1.0 / 255.0) return;
  xx += eps; yy += eps;
  float longest = 0.5 * (xx + yy) + length(vec2(0.5 * (xx - yy), xy));
  float angle = xy == 0.0 && xx >= yy ? 0.0 : 0.5 * atan(2.0 * xy, xx - yy);
  float extend = min(3.33, sqrt(2.0 * log(255.0 * opacity)));
  corner = extend * vec2((gl_VertexID & 1) * 2 - 1, (gl_VertexID & 2) - 1);
  vec2 e = vec2(cos(angle), sin(angle)), at = c.xy * j + centre;
  vec2 reach = extend * sqrt(vec2(xx, yy));
  if (any(lessThan(at + reach, vec2(0))) || any(greaterThan(at - reach, size))) return;
  at += e * sqrt(longest) * corner.x + vec2(-e.y, e.x) * sqrt(det / longest) * corner.y;
  shade = vec4(seen((degree + 1) * (degree + 1) * n, normalize(p.xyz - eye)), opacity);
  gl_Position = vec4((2.0 * at / size - 1.0) * vec2(1, -1), 0, 1);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
flat in vec4 shade; in vec2 corner; out vec4 colour;
void main() {
  float alpha = min(0.999, shade.a * exp(-0.5 * dot(corner, corner)));
  if (alpha < 1.0 / 255.0) discard;
  colour = vec4(shade.rgb * alpha, alpha);
}`;
const COVER = `#version 300 es
out vec2 at;
void main() { at = vec2(gl_VertexID & 1, gl_VertexID >> 1); gl_Position = vec4(4.0 * at - 1.0, 0, 1); at *= 2.0; }`;
const RESOLVE = `#version 300 es
precision highp float;
uniform sampler2D drawn; uniform vec3 background; uniform vec2 share; in vec2 at; out vec4 colour;
void main() { vec4 sum = texture(drawn, at * share); colour = vec4(sum.rgb + (1.0 - sum.a) * background, 1); }`;
const WIDE = 4096;

class Drawer {
  constructor(canvas) {
    const gl = this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!gl) throw new Error("This browser has no WebGL2. Any browser since 2022 has it; perhaps it is switched off.");
    this.half = gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float");
    this.splats = this.begun(VERTEX, FRAGMENT);
    this.cover = this.begun(COVER, RESOLVE);
    this.target = gl.createTexture();
    this.buffer = gl.createFramebuffer();
    this.empty = gl.createVertexArray();
    this.size = [0, 0];
    gl.disable(gl.DEPTH_TEST);
  }

  // A program that the driver begins to compile; who asks for its state waits for it, so nobody does before `finished`.
  begun(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    return { program };
  }

  finished(made) {
    if (made.at) return made;
    const gl = this.gl, { program } = made;
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error("The graphics driver refused a program: " + gl.getProgramInfoLog(program));
    made.at = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const name = gl.getActiveUniform(program, i).name;
      made.at[name] = gl.getUniformLocation(program, name);
    }
    return made;
  }

  // What a scene has on the graphics card.
  model(scene) {
    const gl = this.gl, model = { scene, count: 0, order: gl.createBuffer(), array: gl.createVertexArray() };
    for (const name of ["poses", "sizes", "colours"]) model[name] = this.texture();
    gl.bindVertexArray(model.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, model.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    gl.bindVertexArray(null);
    return model;
  }

  texture() {
    const gl = this.gl, made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]]) gl.texParameteri(gl.TEXTURE_2D, name, value);
    return made;
  }

  // Take over an answer of the engine.
  update(model, answer) {
    const gl = this.gl;
    const fill = (name, inside, format, type) => {
      const values = answer[name];
      if (!values) return;
      const rows = values.length / 4 / WIDE;
      gl.bindTexture(gl.TEXTURE_2D, model[name]);
      if (model[name].rows === rows) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDE, rows, format, type, values);
      else gl.texImage2D(gl.TEXTURE_2D, 0, inside, WIDE, rows, 0, format, type, values);
      model[name].rows = rows;
    };
    fill("poses", gl.RGBA32F, gl.RGBA, gl.FLOAT);
    fill("sizes", gl.RGBA32F, gl.RGBA, gl.FLOAT);
    fill("colours", gl.RGBA16I, gl.RGBA_INTEGER, gl.SHORT);
    gl.bindBuffer(gl.ARRAY_BUFFER, model.order);
    gl.bufferData(gl.ARRAY_BUFFER, answer.order, gl.STREAM_DRAW);
    model.count = answer.order.length;
    if (answer.degree !== undefined) model.degree = answer.degree;
  }

  // A buffer of at least this size to draw into.
  room(width, height) {
    const gl = this.gl;
    if (this.size[0] >= width && this.size[1] >= height) return;
    this.size = [Math.max(this.size[0], width), Math.max(this.size[1], height)];
    gl.deleteTexture(this.target);
    this.target = this.texture();
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.half ? gl.RGBA16F : gl.RGBA8, ...this.size);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.buffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.target, 0);
  }

  // Draw a model into a part of the canvas {x, y, width, height} (y from below), at a share of its pixels.
  draw(model, camera, part, share) {
    const gl = this.gl, width = Math.max(1, Math.round(part.width * share)), height = Math.max(1, Math.round(part.height * share));
    this.room(width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.buffer);
    gl.viewport(0, 0, width, height);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE_MINUS_DST_ALPHA, gl.ONE);
    const { program, at } = this.finished(this.splats), { scene } = model, sx = width / part.width, sy = height / part.height;
    gl.useProgram(program);
    ["poses", "sizes", "colours"].forEach((name, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, model[name]);
      gl.uniform1i(at[name], unit);
    });
    gl.uniformMatrix4fv(at.view, false, camera.view);
    gl.uniform3f(at.eye, ...camera.eye);
    gl.uniform2f(at.focal, camera.focal[0] * sx, camera.focal[1] * sy);
    gl.uniform2f(at.centre, camera.centre[0] * sx, camera.centre[1] * sy);
    gl.uniform2f(at.size, width, height);
    gl.uniform2f(at.steps, scene.clips[0].colours.step, scene.clips[0].harmonics.step);
    gl.uniform1f(at.eps, scene.eps2d);
    gl.uniform1i(at.degree, model.degree);
    gl.uniform1i(at.antialiased, scene.antialiased);
    gl.bindVertexArray(model.array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, model.count);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.disable(gl.BLEND);
    gl.viewport(part.x, part.y, part.width, part.height);
    gl.scissor(part.x, part.y, part.width, part.height);
    const cover = this.finished(this.cover);
    gl.useProgram(cover.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.target);
    gl.uniform1i(cover.at.drawn, 0);
    gl.uniform3f(cover.at.background, ...scene.background);
    gl.uniform2f(cover.at.share, width / this.size[0], height / this.size[1]);
    gl.bindVertexArray(this.empty);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
  }
}
