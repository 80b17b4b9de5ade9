// Mails, by path, as mailparser and postal-mime read them: one JSON object, by reader and path.
import { readFile } from "node:fs/promises";
import { simpleParser } from "mailparser";
import PostalMime from "postal-mime";

const boxes = (list) => (list ?? []).map((each) => (each.name ? `${each.name} <${each.address}>` : each.address));
const files = (list) => list.map((each) => [each.filename, Buffer.from(each.content).toString("base64")]);

async function mailparser(raw) {
  const mail = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true });
  const [from, to, cc] = [mail.from, mail.to, mail.cc].map((each) => boxes(each?.value));
  return { subject: mail.subject, from, to, cc, text: mail.text, html: mail.html, files: files(mail.attachments) };
}

async function postalMime(raw) {
  const mail = await PostalMime.parse(raw);
  const [from, to, cc] = [[mail.from], mail.to, mail.cc].map(boxes);
  return { subject: mail.subject, from, to, cc, text: mail.text, html: mail.html, files: files(mail.attachments) };
}

const readings = { mailparser: {}, "postal-mime": {} };
for (const path of process.argv.slice(2)) {
  const raw = await readFile(path);
  readings.mailparser[path] = await mailparser(raw);
  readings["postal-mime"][path] = await postalMime(raw);
}
console.log(JSON.stringify(readings));
