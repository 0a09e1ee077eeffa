// The page of one gift, /d/{id}#token: what became of it, for whoever has its link.
import "./basket.js";
import { gifts, update } from "./gifts.js";
import { find } from "./page.js";
import { follow } from "./status.js";

let stop;

function open() {
  stop?.();
  const id = location.pathname.split("/")[2] || "";
  const token = /^[\w-]{44}$/.test(location.hash.slice(1)) ? location.hash.slice(1) : "";
  // One that this browser gave brings what it still has to send. Another one is kept too,
  // so that a second card offered here is sent once, whatever happens to the page.
  const gift = gifts().find((g) => g.id === id) || { key: id, id, scope: "d/" + id, at: Date.now(), lines: [] };
  if (token) update(gift, { token });
  find("[data-looking]").hidden = true;
  stop = follow(find("[data-status]"), gift);
}

open();
addEventListener("hashchange", open);
