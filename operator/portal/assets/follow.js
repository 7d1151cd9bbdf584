// Follows what becomes of a wish, and loads the page anew when it is done.
const list = document.querySelector("[data-follow]");
const order = ["written", "read", "done"];
const source = new EventSource(list.dataset.follow);
source.addEventListener("step", ({ data }) => {
  const reached = order.indexOf(data);
  list.querySelectorAll("[data-step]").forEach((item, index) => {
    item.className = index <= reached ? "done" : index === reached + 1 ? "now" : "";
  });
  if (data === "done") {
    source.close();
    location.reload();
  }
});
