"use strict";
(() => {
  // A click on a header sorts a table, another one the other way round; what is no number stays last.
  const compare = (a, b) => {
    const [x, y] = [a.dataset.order, b.dataset.order];
    if (x === undefined || y === undefined) return a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
    return Number(x) - Number(y);
  };
  const isNothing = (cell) => cell.dataset.order === "nan";
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const header = button.parentElement;
      const body = header.closest("table").tBodies[0];
      const first = header.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = header.getAttribute("aria-sort") === first ? other : first;
      for (const each of header.parentElement.cells) each.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const cell = (row) => row.cells[header.cellIndex];
      const rows = [...body.rows].sort((a, b) =>
        isNothing(cell(a)) - isNothing(cell(b)) || (isNothing(cell(a)) ? 0 : sign * compare(cell(a), cell(b))));
      body.append(...rows);
    });
  }

  // Examples are shown if they have all the words, and the kind that was chosen.
  for (const examples of document.querySelectorAll(".examples")) {
    const [input, select, output] = ["input", "select", "output"].map((name) => examples.querySelector(name));
    const cards = [...examples.querySelectorAll("li")];
    const titles = new Map();
    for (const card of cards) {
      const title = card.querySelector("h3").textContent;
      titles.set(title, (titles.get(title) || 0) + 1);
    }
    for (const [title, count] of [...titles].sort((a, b) => b[1] - a[1])) select.add(new Option(`${title} (${count})`, title));
    select.hidden = titles.size < 2;
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const card of cards) {
        const text = card.textContent.toLowerCase();
        card.hidden = !words.every((word) => text.includes(word))
          || (select.value !== "" && card.querySelector("h3").textContent !== select.value);
        shown += !card.hidden;
      }
      output.textContent = `${shown} of ${cards.length}`;
    };
    input.addEventListener("input", show);
    select.addEventListener("change", show);
    examples.querySelector(".filter").hidden = cards.length < 2;
    show();
  }

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // The contents show which section is read.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("section")];
  const mark = () => {
    const line = window.innerHeight / 3;
    const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
    const above = sections.filter((section) => section.getBoundingClientRect().top <= line);
    const current = atEnd && window.scrollY > 0 ? sections.at(-1) : above.at(-1) || sections[0];
    for (const [name, link] of links) {
      const isCurrent = current !== undefined && name === current.id;
      if (isCurrent === link.hasAttribute("aria-current")) continue;
      link.toggleAttribute("aria-current", isCurrent);
      const list = link.closest("ul");
      if (isCurrent && list.scrollWidth > list.clientWidth) list.scrollLeft = link.offsetLeft - list.clientWidth / 3;
    }
  };
  let isWaiting = false;
  addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; mark(); });
  }, { passive: true });
  addEventListener("resize", mark);
  mark();
})();
