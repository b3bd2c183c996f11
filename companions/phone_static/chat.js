"use strict";
// The chat: asks for its state twice a second while it changes, sends words and taps.
const WORDS = {
  ko: { send: "보내기", under: "휴대폰 대화 연습 · 이 컴퓨터에서만 보입니다", hint: "명령을 입력하십시오. 예: /status", gone: "데모가 끝났습니다" },
  en: { send: "Send", under: "the phone's chat, for practice · seen on this machine only", hint: "Type a command, such as /status", gone: "the demo has ended" },
};
const chat = document.getElementById("chat"), text = document.getElementById("text"), menu = document.getElementById("menu");
const rows = new Map();
let language = "ko", commands = [], version = -1, toasts = 0;

function make(tag, name, inner) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (inner !== undefined) element.textContent = inner;
  return element;
}

function draw(message) {
  const known = rows.get(message.id), down = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 120;
  if (known && known.dataset.edits === String(message.edits)) return;
  const row = make("div", message.mine ? "row me" : "row"), bubble = make("div", "bubble");
  row.dataset.edits = message.edits;
  if (message.photo) {
    const image = new Image();
    image.alt = message.text;
    image.onload = () => { if (down) chat.scrollTop = chat.scrollHeight; };
    image.src = `/photo/${message.number}`;
    bubble.append(image);
  }
  bubble.append(document.createTextNode(message.text), make("time", "", message.at));
  row.append(bubble);
  if (message.buttons.length) {
    const keys = make("div", "buttons");
    for (const [face, data] of message.buttons) {
      const key = make("button", "", face);
      key.onclick = () => send("/api/tap", { data, number: message.number });
      keys.append(key);
    }
    row.append(keys);
  }
  if (known) known.replaceWith(row); else chat.append(row);
  rows.set(message.id, row);
  if (down || message.mine) chat.scrollTop = chat.scrollHeight;
}

async function send(path, body) {
  await fetch(path, { method: "POST", body: JSON.stringify(body) });
  look();
}

function offer() {
  const typed = text.value;
  const found = typed.startsWith("/") && !typed.includes(" ") ? commands.filter((c) => `/${c.command}`.startsWith(typed)) : [];
  menu.replaceChildren(...found.map((each) => {
    const key = make("button"), name = make("b", "", `/${each.command}`);
    key.type = "button";
    key.append(name, document.createTextNode(each.description));
    key.onclick = () => { text.value = `/${each.command}`; menu.hidden = true; text.focus(); };
    return key;
  }));
  menu.hidden = !found.length;
}

async function look() {
  let state;
  try {
    state = await (await fetch(`/api/chat?seen=${version}`)).json();
  } catch {
    document.getElementById("under").textContent = WORDS[language].gone;
    return;
  }
  language = state.language;
  document.documentElement.lang = language;
  document.getElementById("under").textContent = WORDS[language].under;
  document.getElementById("send").textContent = WORDS[language].send;
  text.placeholder = WORDS[language].hint;
  commands = state.commands;
  state.messages.forEach(draw);
  for (const each of state.toasts.slice(toasts)) {
    if (each) { const toast = make("div", "toast", each); chat.append(toast); setTimeout(() => toast.remove(), 4000); }
  }
  toasts = state.toasts.length;
  version = state.version;
}

document.getElementById("form").onsubmit = (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (said) send("/api/say", { text: said });
  text.value = "";
  menu.hidden = true;
};
document.getElementById("slash").onclick = () => { text.value = "/"; text.focus(); offer(); };
text.oninput = offer;
look();
setInterval(look, 500);
