// Reads values back from what is drawn, so that what it says is what is seen. Nothing is fetched.
"use strict";
const tip = document.body.appendChild(Object.assign(document.createElement("div"), { id: "tip" }));

function say(event, text) {
  tip.textContent = text;
  tip.style.display = text ? "block" : "none";
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 10) + "px";
}

const spell = {
  s: (v) => (v < 100 ? v.toPrecision(3) + " s" : Math.floor(v / 60) + " min " + Math.round(v % 60) + " s"),
  samples: (v) => Math.round(v).toLocaleString("en") + " samples",
  mb: (v) => Math.round(v) + " MB",
  checkpoint: (v) => "checkpoint " + Math.round(v),
  share: (v) => v.toFixed(4),
  number: (v) => v.toPrecision(4),
};

const xAt = (share, data) =>
  data.log === undefined ? +data.x0 + share * (data.x1 - data.x0) : data.x0 * (data.x1 / data.x0) ** share;
const shareOf = (x, data) =>
  data.log === undefined ? (x - data.x0) / (data.x1 - data.x0) : Math.log(x / data.x0) / Math.log(data.x1 / data.x0);

function values(path, data) {
  const numbers = path.getAttribute("d").match(/-?[\d.]+/g).map(Number), points = [];
  for (let i = 0; i < numbers.length; i += 2) {
    points.push([
      xAt(numbers[i] / 1000, data),
      +data.y1 - (numbers[i + 1] / 1000) * (data.y1 - data.y0),
    ]);
  }
  return points;
}

const MOST_SAID = 6;
for (const area of document.querySelectorAll(".plot .area")) {
  const svg = area.querySelector("svg"), data = svg.dataset, [xKind, yKind] = data.kinds.split(" ");
  const lines = [...svg.querySelectorAll("[data-name]")].map((path) => [path.dataset.name, values(path, data)]);
  const cursor = Object.assign(document.createElement("div"), { className: "cursor", hidden: true });
  area.append(cursor);
  area.addEventListener("mousemove", (event) => {
    const box = area.getBoundingClientRect();
    const x = xAt((event.clientX - box.left) / box.width, data), said = [];
    for (const [name, points] of lines.slice(-MOST_SAID)) {
      const near = points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      said.push((lines.length > 1 ? name + ": " : "") + spell[yKind](near[1]) + " at " + spell[xKind](near[0]));
      cursor.style.left = shareOf(near[0], data) * 100 + "%";
    }
    cursor.hidden = false;
    say(event, said.join("\n"));
  });
  area.addEventListener("mouseleave", (event) => { cursor.hidden = true; say(event, ""); });
}

for (const area of document.querySelectorAll(".scatter .area")) {
  const spots = [...area.querySelectorAll("[data-says]")].flatMap((path) => {
    const at = path.getAttribute("d").match(/[\d.]+/g).map(Number);
    return path.dataset.says.split("|").map((text, i) => [at[2 * i] / 1000, at[2 * i + 1] / 1000, text]);
  });
  area.addEventListener("mousemove", (event) => {
    const box = area.getBoundingClientRect(), far = ([x, y]) =>
      Math.hypot(box.left + x * box.width - event.clientX, box.top + y * box.height - event.clientY);
    const near = spots.reduce((a, b) => (far(b) < far(a) ? b : a));
    say(event, far(near) < 30 ? near[2] : "");
  });
  area.addEventListener("mouseleave", (event) => say(event, ""));
}

const names = {
  train: "training", evaluate: "evaluating", weights: "reading and writing weights", merge: "merging",
  start: "starting", coordinate: "coordinating", wait: "waiting", silence: "no word",
};

for (const frame of document.querySelectorAll(".timeline")) {
  const area = frame.querySelector(".area"), svg = frame.querySelector("svg"), ticks = frame.querySelector(".xs");
  const flags = frame.querySelector(".flags"), whole = svg.viewBox.baseVal.width, unit = +svg.dataset.unitS;
  const height = svg.viewBox.baseVal.height, labels = ticks.innerHTML;
  let rows = null, low = 0, high = whole, pressed = null;
  const read = () => {
    rows = {};
    for (const path of svg.querySelectorAll("path")) {
      for (const m of path.getAttribute("d").matchAll(/M(\d+) \d+h(\d+)/g)) {
        (rows[path.dataset.row] ||= []).push([+m[1], +m[2], path.dataset.group]);
      }
    }
  };
  const at = (event) => {
    const box = area.getBoundingClientRect();
    return low + (Math.min(Math.max(event.clientX - box.left, 0), box.width) / box.width) * (high - low);
  };
  const show = () => {
    svg.setAttribute("viewBox", `${low} 0 ${high - low} ${height}`);
    flags.style.left = (-low / (high - low)) * 100 + "%";
    flags.style.right = "auto";
    flags.style.width = (whole / (high - low)) * 100 + "%";
    area.style.overflow = high - low < whole ? "hidden" : "";
    if (high - low === whole) { ticks.innerHTML = labels; return; }
    const step = 10 ** Math.floor(Math.log10(((high - low) * unit) / 2));
    ticks.innerHTML = "";
    for (let n = Math.ceil((low * unit) / step); n * step <= high * unit; n += (high - low) * unit > 6 * step ? 2 : 1) {
      const tick = ticks.appendChild(document.createElement("i"));
      tick.style.left = ((n * step / unit - low) / (high - low)) * 100 + "%";
      tick.textContent = +(n * step).toPrecision(6) + " s";
    }
  };
  const brush = Object.assign(document.createElement("div"), { className: "brush", hidden: true });
  area.append(brush);
  area.addEventListener("mousemove", (event) => {
    if (rows === null) read();
    const box = area.getBoundingClientRect(), x = at(event);
    if (pressed !== null) {
      brush.hidden = false;
      brush.style.left = ((Math.min(x, pressed) - low) / (high - low)) * 100 + "%";
      brush.style.width = (Math.abs(x - pressed) / (high - low)) * 100 + "%";
    }
    const row = Math.floor(((event.clientY - box.top) / box.height) * (height / 10));
    const hit = (rows[row] || []).find(([begin, width]) => begin <= x && x <= begin + width);
    const what = hit ? `${names[hit[2]]} for ${spell.s(hit[1] * unit)}, from ${spell.s(hit[0] * unit)}` : "nothing traced";
    const worker = frame.dataset.names ? frame.dataset.names.split(",")[row] : row;
    say(event, `worker ${worker}: ${what}`);
  });
  area.addEventListener("mouseleave", (event) => say(event, ""));
  area.addEventListener("mousedown", (event) => { pressed = at(event); event.preventDefault(); });
  addEventListener("mouseup", (event) => {
    if (pressed === null) return;
    const released = at(event);
    if (Math.abs(released - pressed) > (high - low) / 100) {
      [low, high] = [Math.min(pressed, released), Math.max(pressed, released)];
      show();
    }
    pressed = null;
    brush.hidden = true;
  });
  area.addEventListener("dblclick", () => { [low, high] = [0, whole]; show(); });
}
