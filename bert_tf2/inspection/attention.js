"use strict";
(() => {
  // Weights come as bytes, round(255 * sqrt(weight)), in the order [layer][head][from][to]. What is drawn for a weight
  // is its square root, so that small ones can be told apart.
  const LEVELS = 255;
  const THUMBNAIL = 48; // pixels of a head's small picture at most
  const MOST_LINES = 1500;
  const LEAST_LINE = 0.03; // a weaker weight gets no line unless its piece is chosen
  const RANKS = 12;
  const ROW = 24; // height of a piece beside the lines, as in the style sheet
  const MEAN = "mean";

  const data = JSON.parse(document.getElementById("data").textContent);
  const page = document.getElementById("page");
  const state = { text: 0, layer: 0, head: MEAN, piece: -1, reverse: false, special: true };
  const shown = { piece: -1, reverse: false }; // what the pointer is on, else what is chosen
  let text, bytes, size, isSpecial;
  const cache = new Map();

  // --- Elements ---------------------------------------------------------------------------------------------------

  function element(name, options = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(options)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  function choice(label, values, chosen, change) {
    const options = values.map(([value, name]) => element("option", { value: String(value) }, name));
    const select = element("select", { onchange: () => change(select.value) }, ...options);
    select.value = String(chosen);
    return [element("label", {}, label, select), select];
  }

  const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
  const percent = (weight) => `${(100 * weight).toFixed(1)} %`;
  const named = (place) => `${text.tokens[place]} (piece ${place})`;

  // --- Weights ----------------------------------------------------------------------------------------------------

  async function unpacked(number) {
    const content = atob(document.getElementById(`weights-${number}`).textContent);
    const packed = Uint8Array.from(content, (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** The weights of a head, or their mean over the heads of a layer: [from][to]. */
  function weightsOf(layer, head) {
    const key = `${layer} ${head}`;
    if (!cache.has(key)) {
      const area = size * size;
      const weights = new Float32Array(area);
      const heads = head === MEAN ? [...Array(text.heads).keys()] : [Number(head)];
      for (const each of heads) {
        const start = (layer * text.heads + each) * area;
        for (let i = 0; i < area; i++) weights[i] += (bytes[start + i] / LEVELS) ** 2 / heads.length;
      }
      if (cache.size > 40) cache.clear();
      cache.set(key, weights);
    }
    return cache.get(key);
  }

  const current = () => weightsOf(state.layer, state.head);
  const isHidden = (place) => !state.special && isSpecial[place];

  /** How much each piece is attended to by the one that is shown, or attends to it; on average if none is shown. */
  function weightsOfPiece() {
    const weights = current();
    const values = new Float32Array(size);
    for (let other = 0; other < size; other++) {
      if (isHidden(other)) continue;
      if (shown.piece < 0) {
        for (let from = 0; from < size; from++) values[other] += weights[from * size + other] / size;
      } else {
        values[other] = shown.reverse ? weights[other * size + shown.piece] : weights[shown.piece * size + other];
      }
    }
    return values;
  }

  // --- Colours ----------------------------------------------------------------------------------------------------

  let stops = [];
  function readColours() {
    const value = getComputedStyle(document.documentElement).getPropertyValue("--heat");
    stops = value.split(",").map((part) => part.trim().split(/\s+/).map(Number));
  }

  function colour(shade) {
    const place = Math.min(1, Math.max(0, shade)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    return stops[low].map((value, i) => Math.round(value + (place - low) * (stops[low + 1][i] - value)));
  }

  function palette() {
    return Array.from({ length: LEVELS + 1 }, (_, level) => colour(level / LEVELS));
  }

  function paint(canvas, width, height, level, colours) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const [red, green, blue] = colours[level(i)];
      image.data.set([red, green, blue, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  }

  // --- All heads --------------------------------------------------------------------------------------------------

  let cells = []; // [layer][head], the mean last

  function headTable() {
    const heads = [...Array(text.heads).keys(), MEAN];
    const top = element("tr", {}, element("th", { scope: "col" }), ...heads.map((head) => {
      const isMean = head === MEAN;
      const title = isMean ? "mean of all heads" : `head ${head}`;
      return element("th", { scope: "col", className: isMean ? "mean" : "", title }, isMean ? "avg" : String(head));
    }));
    cells = [];
    const rows = [];
    for (let layer = 0; layer < text.layers; layer++) {
      const buttons = heads.map((head) => element("button", {
        type: "button", className: "cell", tabIndex: -1,
        title: headName(layer, head), "aria-label": headName(layer, head),
        onclick: () => choose({ layer, head }), onkeydown: (event) => moveInTable(event, layer, heads.indexOf(head)),
      }, element("canvas", { "aria-hidden": "true" })));
      cells.push(buttons);
      rows.push(element("tr", {}, element("th", { scope: "row", title: `layer ${layer}` }, String(layer)),
        ...buttons.map((button, i) => element("td", { className: heads[i] === MEAN ? "mean" : "" }, button))));
    }
    const table = element("table", { className: "heads" }, element("thead", {}, top), element("tbody", {}, ...rows));
    table.style.maxWidth = `${heads.length * 58 + 30}px`;
    return table;
  }

  const headName = (layer, head) => `Layer ${layer}, ${head === MEAN ? "mean of all heads" : `head ${head}`}`;

  function paintThumbnails() {
    const side = Math.min(size, THUMBNAIL);
    const colours = palette();
    const bin = Array.from({ length: size }, (_, place) => Math.floor((place * side) / size));
    cells.forEach((row, layer) => row.forEach((button, column) => {
      const levels = new Uint8Array(side * side); // of each pixel, the greatest that falls into it
      const mean = column === text.heads ? weightsOf(layer, MEAN) : null;
      const start = (layer * text.heads + column) * size * size;
      for (let from = 0; from < size; from++) {
        for (let to = 0; to < size; to++) {
          if (isHidden(to)) continue;
          const i = from * size + to;
          const level = mean ? Math.round(LEVELS * Math.sqrt(mean[i])) : bytes[start + i];
          const pixel = bin[from] * side + bin[to];
          if (level > levels[pixel]) levels[pixel] = level;
        }
      }
      paint(button.firstChild, side, side, (i) => levels[i], colours);
    }));
  }

  function moveInTable(event, layer, column) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    let target = moves[event.key] && [layer + moves[event.key][0], column + moves[event.key][1]];
    if (event.key === "Home") target = [layer, 0];
    if (event.key === "End") target = [layer, text.heads];
    if (!target) return;
    event.preventDefault();
    const button = cells[target[0]]?.[target[1]];
    if (!button) return;
    choose({ layer: target[0], head: target[1] === text.heads ? MEAN : target[1] });
    button.focus();
  }

  // --- The pieces -------------------------------------------------------------------------------------------------

  let chips = []; // [piece], in the text
  let sides = { left: [], right: [] }; // the same, in the picture with lines

  function pieceButton(place, reverse) {
    const token = text.tokens[place];
    const button = element("button", {
      type: "button", className: "piece", dir: "auto", title: `piece ${place}`, tabIndex: -1,
      onpointerenter: (event) => { if (event.pointerType === "mouse") show(place, reverse ?? state.reverse); },
      onpointerleave: (event) => { if (event.pointerType === "mouse") show(state.piece, state.reverse); },
      onclick: () => choose({ piece: state.piece === place ? -1 : place, reverse: reverse ?? state.reverse }),
      onkeydown: (event) => moveInText(event, place, reverse),
    }, token);
    if (token.startsWith("##")) button.classList.add("joined");
    return button;
  }

  function moveInText(event, place, reverse) {
    const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
    let target = event.key in steps ? place + steps[event.key] : null;
    if (event.key === "Home") target = 0;
    if (event.key === "End") target = size - 1;
    if (event.key === "Escape") {
      choose({ piece: -1 });
    } else if (target !== null && target >= 0 && target < size) {
      event.preventDefault();
      choose({ piece: target, reverse: reverse ?? state.reverse });
      (reverse === undefined ? chips : reverse ? sides.right : sides.left)[target].focus();
    }
  }

  function textStrip() {
    chips = text.tokens.map((_, place) => pieceButton(place));
    const strip = element("div", { className: "strip scrolled", role: "group", "aria-label": "Pieces of the text" });
    if (text.tokens.filter((token) => /[\u0590-\u08ff]/.test(token)).length * 2 > size) strip.dir = "rtl";
    const isPair = text.segments.includes(1);
    chips.forEach((chip, place) => {
      if (isPair && (place === 0 || text.segments[place] !== text.segments[place - 1])) {
        strip.append(element("span", { className: "segment" }, `Segment ${text.segments[place]}`));
      }
      strip.append(chip);
    });
    return strip;
  }

  function lineView() {
    const side = (name, reverse) => {
      sides[name] = text.tokens.map((_, place) => pieceButton(place, reverse));
      const label = reverse ? "Pieces that are attended to" : "Pieces that attend";
      return element("div", { className: `side ${name}`, role: "group", "aria-label": label }, ...sides[name]);
    };
    svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("viewBox", `0 0 100 ${ROW * size}`);
    svg.setAttribute("height", ROW * size);
    svg.setAttribute("preserveAspectRatio", "none");
    return element("div", { className: "lines" },
      element("div", { className: "sides" }, side("left", false), element("div", {}, svg), side("right", true)));
  }
  let svg;

  /** The lines to draw, as [weight, from, to]. */
  function linesToDraw() {
    const weights = current();
    const lines = [];
    for (let from = 0; from < size; from++) {
      for (let to = 0; to < size; to++) {
        if (isHidden(to) || (shown.piece >= 0 && (shown.reverse ? to : from) !== shown.piece)) continue;
        const weight = weights[from * size + to];
        if (weight >= (shown.piece < 0 ? LEAST_LINE : 0.002)) lines.push([weight, from, to]);
      }
    }
    return lines.sort((a, b) => b[0] - a[0]).slice(0, MOST_LINES).reverse();
  }

  function drawLines() {
    svg.replaceChildren(...linesToDraw().map(([weight, from, to]) => {
      const line = document.createElementNS(svg.namespaceURI, "line");
      const ends = { x1: 0, x2: 100, y1: ROW * (from + 0.5), y2: ROW * (to + 0.5) };
      for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
      line.setAttribute("stroke-opacity", Math.min(1, Math.sqrt(weight)).toFixed(3));
      line.setAttribute("vector-effect", "non-scaling-stroke");
      return line;
    }));
  }

  /** Scrolls the boxes that a piece is in, and not the page, to it. */
  function reveal(piece) {
    for (const button of [chips[piece], sides.left[piece]]) {
      const box = button.closest(".scrolled, .lines");
      const top = button.getBoundingClientRect().top - box.getBoundingClientRect().top;
      if (top < 0 || top + ROW > box.clientHeight) box.scrollTop += top - box.clientHeight / 2;
    }
  }

  function shade(button, weight, isChosen) {
    const level = Math.sqrt(weight);
    button.style.backgroundColor = level > 0.02 ? `rgb(${colour(level).join(" ")})` : "";
    button.classList.toggle("strong", level > 0.62);
    button.classList.toggle("chosen", isChosen);
  }

  function drawPieces() {
    const weights = weightsOfPiece();
    const isNone = shown.piece < 0;
    chips.forEach((chip, place) => {
      shade(chip, weights[place], place === shown.piece);
      chip.setAttribute("aria-pressed", String(place === state.piece));
      chip.tabIndex = place === Math.max(0, state.piece) ? 0 : -1;
    });
    for (const [name, isReverse] of [["left", false], ["right", true]]) {
      const isShaded = isNone ? isReverse : isReverse !== shown.reverse;
      sides[name].forEach((button, place) => {
        shade(button, isShaded ? weights[place] : 0, !isShaded && place === shown.piece);
        button.tabIndex = place === Math.max(0, state.piece) ? 0 : -1;
      });
    }
    const order = [...weights.keys()].filter((place) => !isHidden(place));
    order.sort((a, b) => weights[b] - weights[a] || a - b);
    const verb = shown.reverse ? "is attended to by" : "attends to";
    const title = `${named(shown.piece)} ${verb}`;
    parts.rankTitle.textContent = isNone ? "On average, the pieces attend to" : title;
    parts.ranks.replaceChildren(...order.slice(0, RANKS).map((place) => {
      const fill = element("i");
      fill.style.width = `${100 * weights[place]}%`;
      return element("li", {},
        element("span", { className: "number" }, String(place)),
        element("span", { className: "name", dir: "auto" }, text.tokens[place]),
        element("span", { className: "bar" }, fill),
        element("span", { className: "value" }, percent(weights[place])));
    }));
  }

  // --- One head as a matrix ---------------------------------------------------------------------------------------

  const matrix = { left: 0, top: 0, cell: 1 };

  function drawMatrix() {
    const canvas = parts.matrix;
    const room = Math.max(200, canvas.parentNode.clientWidth);
    const style = getComputedStyle(document.body);
    const font = `12px ${style.fontFamily}`;
    const context = canvas.getContext("2d");
    context.font = font;
    const short = (token) => (token.length > 12 ? `${token.slice(0, 11)}…` : token);
    const names = text.tokens.map(short);
    const label = Math.min(96, Math.ceil(Math.max(...names.map((name) => context.measureText(name).width)))) + 8;
    const hasNames = size <= 128;
    matrix.left = matrix.top = hasNames ? label : 0;
    const fitting = (room - matrix.left) / size;
    matrix.cell = hasNames ? Math.max(13, Math.min(30, Math.floor(fitting))) : Math.max(1, fitting);
    const width = matrix.left + matrix.cell * size;
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(12e6 / (width * width)));
    canvas.width = canvas.height = Math.round(width * ratio);
    canvas.style.width = canvas.style.height = `${width}px`;
    context.scale(ratio, ratio);
    context.font = font;
    context.textBaseline = "middle";
    if (hasNames) {
      names.forEach((name, place) => {
        const middle = matrix.left + matrix.cell * (place + 0.5);
        context.fillStyle = style.color;
        context.textAlign = "end";
        context.fillText(name, matrix.left - 5, middle);
        context.save();
        context.translate(middle, matrix.top - 5);
        context.rotate(-Math.PI / 2);
        context.textAlign = "start";
        context.fillText(name, 0, 0);
        context.restore();
      });
    }
    const weights = current();
    const colours = palette();
    const picture = document.createElement("canvas");
    const level = (i) => (isHidden(i % size) ? 0 : Math.round(LEVELS * Math.sqrt(Math.min(1, weights[i]))));
    paint(picture, size, size, level, colours);
    context.imageSmoothingEnabled = !Number.isInteger(matrix.cell);
    context.drawImage(picture, matrix.left, matrix.top, matrix.cell * size, matrix.cell * size);
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--line");
    context.strokeRect(matrix.left + 0.5, matrix.top + 0.5, matrix.cell * size - 1, matrix.cell * size - 1);
    if (shown.piece >= 0) {
      context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
      context.lineWidth = 2;
      const start = shown.piece * matrix.cell;
      const along = matrix.cell * size;
      const [x, y, width, height] = shown.reverse ? [start, 0, matrix.cell, along] : [0, start, along, matrix.cell];
      context.strokeRect(matrix.left + x, matrix.top + y, width, height);
    }
  }

  function placeInMatrix(event) {
    const box = parts.matrix.getBoundingClientRect();
    const place = (position, start) => Math.floor((position - start) / matrix.cell);
    const from = place(event.clientY - box.top, matrix.top);
    const to = place(event.clientX - box.left, matrix.left);
    const isInside = from >= 0 && to >= 0 && from < size && to < size;
    return isInside ? { from, to } : null;
  }

  function readMatrix(event) {
    const place = placeInMatrix(event);
    if (!place) {
      parts.readout.textContent = "Point at a cell to read its weight; click to choose the piece of its row.";
      return;
    }
    const weight = current()[place.from * size + place.to];
    parts.readout.textContent = `${named(place.from)} → ${named(place.to)}: ${percent(weight)}`;
  }

  // --- State ------------------------------------------------------------------------------------------------------

  const parts = {};

  function show(piece, reverse) {
    if (shown.piece === piece && shown.reverse === reverse) return;
    Object.assign(shown, { piece, reverse });
    drawPieces();
    drawLines();
    drawMatrix();
  }

  function choose(change) {
    const isOtherText = "text" in change && change.text !== state.text;
    Object.assign(state, change);
    Object.assign(shown, { piece: state.piece, reverse: state.reverse });
    if (isOtherText) {
      openText().catch(fail);
      return;
    }
    if ("special" in change) paintThumbnails();
    draw();
    if (change.piece >= 0) reveal(change.piece);
  }

  function draw() {
    cells.forEach((row, layer) => row.forEach((button, column) => {
      const isChosen = layer === state.layer && (column === text.heads ? MEAN : column) === state.head;
      button.setAttribute("aria-pressed", String(isChosen));
      button.tabIndex = isChosen ? 0 : -1;
    }));
    parts.title.textContent = headName(state.layer, state.head);
    parts.layer.value = String(state.layer);
    parts.head.value = String(state.head);
    parts.direction.value = String(state.reverse);
    parts.special.checked = !state.special;
    drawPieces();
    drawLines();
    drawMatrix();
    keepInAddress();
  }

  function keepInAddress() {
    const kept = new URLSearchParams({ ...state, reverse: Number(state.reverse), special: Number(state.special) });
    try {
      history.replaceState(null, "", `#${kept}`);
    } catch {
      // A page that is shown in a frame may not change its address.
    }
  }

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const number = (name, end, least = 0) => {
      const value = Number(given.get(name) ?? NaN);
      return Number.isInteger(value) && value >= least && value < end ? value : null;
    };
    state.text = number("text", data.texts.length) ?? 0;
    const { layers, heads, tokens } = data.texts[state.text];
    state.layer = number("layer", layers) ?? Math.floor(layers / 2);
    state.head = number("head", heads) ?? MEAN;
    state.piece = number("piece", tokens.length, -1) ?? -1;
    state.reverse = given.get("reverse") === "1";
    state.special = given.get("special") !== "0";
    Object.assign(shown, { piece: state.piece, reverse: state.reverse });
  }

  // --- Start ------------------------------------------------------------------------------------------------------

  function header() {
    const { layers, heads } = text;
    const nodes = [
      element("h1", {}, "Attention"),
      element("p", { className: "quiet model" },
        `${data.model}: ${counted(layers, "layer")} of ${counted(heads, "head")}, ${counted(text.pieces, "piece")}`),
    ];
    if (data.texts.length > 1) {
      const beginning = (each) => each.tokens.filter((_, k) => each.words[k] !== null).slice(0, 40).join(" ");
      const names = data.texts.map((each, i) => [i, `${i + 1}: ${beginning(each)}`]);
      const [label] = choice("", names, state.text, (value) => choose({ text: Number(value), piece: -1 }));
      label.className = "texts";
      label.firstElementChild.setAttribute("aria-label", "Text");
      nodes.push(label);
    }
    const notes = [];
    if (size < text.pieces) notes.push(`The text has ${text.pieces} pieces; the first ${size} are shown.`);
    if (data.texts.length < data.given) notes.push(`The first ${data.texts.length} of ${data.given} texts are shown.`);
    return element("header", {}, ...nodes, ...notes.map((note) => element("p", { className: "note" }, note)));
  }

  function controls() {
    const [layerLabel, layer] = choice("Layer", [...Array(text.layers).keys()].map((i) => [i, String(i)]), state.layer,
      (value) => choose({ layer: Number(value) }));
    const heads = [...[...Array(text.heads).keys()].map((i) => [i, String(i)]), [MEAN, "mean of all"]];
    const [headLabel, head] = choice("Head", heads, state.head,
      (value) => choose({ head: value === MEAN ? MEAN : Number(value) }));
    const directions = [[false, "attends to"], [true, "is attended to by"]];
    const [directionLabel, direction] = choice("A piece", directions, state.reverse,
      (value) => choose({ reverse: value === "true" }));
    const special = element("input", { type: "checkbox", onchange: () => choose({ special: !special.checked }) });
    const specialLabel = element("label", {}, special, "leave out [CLS] and [SEP]");
    Object.assign(parts, { layer, head, direction, special });
    return element("div", { className: "controls" }, layerLabel, headLabel, directionLabel, specialLabel);
  }

  function legend() {
    const scale = element("canvas", { "aria-hidden": "true" });
    const box = element("div", { className: "legend" }, "0 %", scale, "100 %",
      element("span", {}, "(shades follow the square root)"));
    parts.legend = () => paint(scale, 140, 1, (i) => Math.round((LEVELS * i) / 139), palette());
    return box;
  }

  function build() {
    parts.title = element("h2", {});
    parts.rankTitle = element("h3", { "aria-live": "polite" });
    parts.ranks = element("ol", { className: "ranks" });
    parts.matrix = element("canvas", {
      role: "img", "aria-label": "Weights of the chosen head as a matrix: a row for each piece that attends",
      onpointermove: readMatrix,
      onpointerleave: () => readMatrix({ clientX: -1, clientY: -1 }),
      onclick: (event) => {
        const place = placeInMatrix(event);
        if (place) choose({ piece: place.from, reverse: false });
      },
    });
    parts.readout = element("p", { className: "quiet readout" });
    const all = element("section", { className: "all" },
      element("h2", {}, "Layers and heads"), headTable(),
      element("p", { className: "quiet" }, "Each row is a layer, each column a head; avg is the mean of a layer's heads. "
        + "Both are numbered from 0, as in the arrays."),
      legend());
    const whole = element("section", { className: "whole" },
      element("h2", {}, "The chosen head as a matrix"),
      element("p", { className: "quiet" }, "A row for each piece that attends, a column for each that is attended to."),
      parts.readout, element("div", { className: "matrix" }, parts.matrix));
    const one = element("section", { className: "one" },
      parts.title, controls(), textStrip(), parts.rankTitle, parts.ranks,
      element("h3", {}, "Lines"),
      element("div", { className: "head-of-side" },
        element("span", {}, "attends"), element("span", {}, "is attended to")),
      lineView());
    const foot = element("p", { className: "quiet" },
      "Weights are rounded to a byte here; attention.npz has them as the model computes them.");
    page.replaceChildren(header(), element("div", { className: "panels" }, all, one, whole), foot);
    readMatrix({ clientX: -1, clientY: -1 });
  }

  async function openText() {
    const number = state.text;
    const unpackedBytes = await unpacked(number);
    if (number !== state.text) return; // another text was chosen meanwhile
    text = data.texts[number];
    size = text.tokens.length;
    isSpecial = text.words.map((word) => word === null);
    bytes = unpackedBytes;
    cache.clear();
    state.layer = Math.min(state.layer, text.layers - 1);
    if (state.piece >= size) state.piece = -1; // it was of the text before
    Object.assign(shown, { piece: state.piece, reverse: state.reverse });
    build();
    redraw();
    if (state.piece >= 0) reveal(state.piece);
    document.documentElement.dataset.ready = "true";
  }

  function redraw() {
    readColours();
    parts.legend();
    paintThumbnails();
    draw();
  }

  function fail(error) {
    const needed = "it needs a browser of 2023 or later (DecompressionStream)";
    const reason = "DecompressionStream" in window ? String(error) : needed;
    page.replaceChildren(element("p", { className: "note" }, `This page cannot be shown: ${reason}.`));
  }

  readAddress();
  openText().then(() => {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawMatrix(); } });
  }).catch(fail);
})();
