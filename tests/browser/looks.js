// What a reader sees of a mail: its texts with their colours, sizes and places.
(() => {
  const parsed = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], alpha: a };
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const { rgb, alpha } = parsed(getComputedStyle(each).backgroundColor);
      if (alpha > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.textContent.trim();
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!text || !box.width || !box.height) continue;
    const style = getComputedStyle(node.parentElement);
    texts.push({
      text,
      colour: parsed(style.color).rgb,
      ground: ground(node.parentElement),
      size: parseFloat(style.fontSize),
      top: box.top + scrollY,
      bottom: box.bottom + scrollY,
    });
  }
  const outside = [...document.querySelectorAll("body *")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.right > innerWidth + 0.5 || box.left < -0.5;
  }).map((element) => `${element.tagName}: ${element.textContent.trim().slice(0, 60)}`);
  const buttons = [...document.querySelectorAll("table.btn")].map((element) => {
    const box = element.getBoundingClientRect();
    return { text: element.textContent.trim(), height: box.height, width: box.width, bottom: box.bottom + scrollY };
  });
  const headline = document.querySelector("h1").textContent.trim();
  const active = document.querySelectorAll("script, img, iframe, object, form, link").length;
  return { texts, outside, buttons, headline, active, width: document.documentElement.scrollWidth };
})()
