// Faults shown at the fields that they are about.
import { el, find, findAll } from "./page.js";

// fault says at an input, or at a group that can take focus, what is wrong with it.
export function fault(input, text) {
  const id = input.id + "-error";
  let p = document.getElementById(id);
  if (!p) {
    p = el("p", { id, class: "error" });
    (input.closest(".field") || input.parentElement).append(p);
  }
  p.textContent = text;
  p.hidden = false;
  input.setAttribute("aria-invalid", "true");
  const others = (input.getAttribute("aria-describedby") || "").split(" ").filter((other) => other && other !== id);
  input.setAttribute("aria-describedby", [...others, id].join(" "));
}

// clear takes one fault back.
export function clear(input) {
  if (!input.hasAttribute?.("aria-invalid")) return;
  input.removeAttribute("aria-invalid");
  const p = document.getElementById(input.id + "-error");
  if (p) p.hidden = true;
}

export const clearAll = (root) => findAll("[aria-invalid]", root).forEach(clear);

// focusFirst leads to the first fault, and tells whether there is one.
export function focusFirst(root) {
  const first = find("[aria-invalid]", root);
  if (!first) return false;
  for (let box = first.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  first.focus();
  return true;
}
