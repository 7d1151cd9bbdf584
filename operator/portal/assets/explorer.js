// Calls an operation from its page: straight from the browser to the gateway, with a key that is in the page already or that
// somebody puts in. Nothing is kept.
const MOST = 100_000;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

let count = 0;

// A field with its label.
function field(text, input, hint) {
  input.id = `explorer-${count++}`;
  const parts = [element("label", { for: input.id }, text), input];
  if (hint) {
    parts.push(element("p", { class: "hint", id: `${input.id}-hint` }, hint));
    input.setAttribute("aria-describedby", `${input.id}-hint`);
  }
  return element("div", { class: "field" }, ...parts);
}

function choice(names) {
  const select = element("select");
  names.forEach((name, index) => select.append(element("option", { value: String(index) }, name)));
  return select;
}

// Why the gateway would not take it from a page, in a sentence.
function blocked(place, operation) {
  if (!place.open) return `Its owner lets no page of ${location.origin} call it: that is \`cors.allowOrigins\` of the API.`;
  const method = operation.method;
  if (!["GET", "HEAD", "POST", ...place.methods].includes(method)) {
    return `Its owner lets no page call it with ${method}: that is \`cors.allowMethods\` of the API.`;
  }
  const headers = place.headers.map((name) => name.toLowerCase());
  const needed = operation.parameters.filter((one) => one.place === "header").map((one) => one.name.toLowerCase());
  if (operation.media) needed.push("content-type");
  const missing = needed.find((name) => name !== place.header.toLowerCase() && !headers.includes(name));
  return missing && `Its owner lets no page send ${missing}: that is \`cors.allowHeaders\` of the API.`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function build(panel) {
  const places = JSON.parse(panel.dataset.places);
  const operations = JSON.parse(panel.dataset.operations);
  const place = choice(places.map((one) => one.label));
  const operation = choice(operations.map((one) => `${one.method} ${one.path}`));
  const key = element("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  key.value = panel.dataset.key ?? "";
  delete panel.dataset.key;
  const fields = element("div", { class: "stack" });
  const send = element("button", { class: "button first", type: "submit" }, "Send");
  const answer = element("div", { class: "stack-tight", role: "status" });
  const form = element("form", { class: "stack", novalidate: true });
  // What there is no choice of is not asked.
  if (places.length > 1) form.append(field("Where", place));
  if (operations.length > 1) form.append(field("Operation", operation));
  form.append(fields, field("Key", key, "It goes to the gateway and nowhere else."), element("div", {}, send), answer);
  let inputs = [];
  let body;

  const now = () => ({ place: places[Number(place.value || 0)], operation: operations[Number(operation.value || 0)] });

  function show() {
    const { operation } = now();
    inputs = operation.parameters.map((parameter) => {
      const input = element("input", { type: "text", autocomplete: "off", spellcheck: "false", required: parameter.required });
      return { parameter, input };
    });
    fields.replaceChildren();
    for (const { parameter, input } of inputs) {
      fields.append(field(`${parameter.name}${parameter.required ? "" : " (optional)"}`, input, `${parameter.kind}, in ${parameter.place}`));
    }
    body = undefined;
    if (operation.media) {
      body = element("textarea", { rows: "8", spellcheck: "false" });
      body.value = operation.example ?? "";
      fields.append(field("Body", body, operation.media));
    }
    answer.replaceChildren();
  }

  function request() {
    const { place, operation } = now();
    let path = operation.path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { parameter, input } of inputs) {
      if (!input.value) {
        if (parameter.required) return { missing: input, text: `${parameter.name} is missing.` };
        continue;
      }
      if (parameter.place === "path") path = path.replaceAll(`{${parameter.name}}`, encodeURIComponent(input.value));
      if (parameter.place === "query") query.append(parameter.name, input.value);
      if (parameter.place === "header") headers[parameter.name] = input.value;
    }
    const search = query.size > 0 ? `?${query}` : "";
    if (body) headers["content-type"] = operation.media;
    return { place, operation, url: place.url + path + search, headers, body: body?.value };
  }

  function say(...children) {
    answer.replaceChildren(...children);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say();
    const { missing, text, place, operation, url, headers, body } = request();
    if (missing) {
      missing.focus();
      return say(element("div", { class: "notice bad" }, text));
    }
    const why = blocked(place, operation);
    if (why) {
      const words = ["curl", "-X", operation.method, "-H", quoted(`${place.header}: KEY`)];
      for (const [name, value] of Object.entries(headers)) words.push("-H", quoted(`${name}: ${value}`));
      if (body) words.push("--data", quoted(body));
      words.push(quoted(url));
      return say(element("div", { class: "notice warn" }, `${why} In a terminal it works:`), element("pre", { tabindex: "0" }, element("code", {}, words.join(" "))));
    }
    if (key.value) headers[place.header] = key.value.trim();
    send.disabled = true;
    const began = performance.now();
    try {
      const options = { method: operation.method, headers, body: body || undefined, credentials: "omit", referrerPolicy: "no-referrer", redirect: "manual", cache: "no-store" };
      const came = await fetch(url, options);
      const took = Math.round(performance.now() - began);
      let text = (await came.text()).slice(0, MOST);
      try {
        text = JSON.stringify(JSON.parse(text), null, 2);
      } catch {
        // Not every answer is JSON.
      }
      const tone = came.ok ? "badge ok" : "badge bad";
      const status = element("span", { class: tone, "data-status": String(came.status) }, `${came.status} ${came.statusText}`.trim());
      const shown = [...came.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      say(
        element("div", { class: "row" }, status, element("span", { class: "small muted" }, `${took} ms`)),
        element("pre", { class: "small muted", tabindex: "0" }, shown),
        element("pre", { tabindex: "0" }, element("code", {}, text)),
      );
    } catch (error) {
      say(element("div", { class: "notice bad" }, `No answer came that this page may read: ${error.message}. Is the gateway there?`));
    } finally {
      send.disabled = false;
    }
  });
  operation.addEventListener("change", show);
  show();
  panel.append(form);
  panel.hidden = false;

  // Buttons beside the operations choose one.
  for (const button of document.querySelectorAll("[data-try]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      operation.value = button.dataset.try;
      show();
      panel.scrollIntoView();
      (fields.querySelector("input, textarea") ?? key).focus({ preventScroll: true });
    });
  }
}

for (const panel of document.querySelectorAll("[data-places]")) build(panel);
