// The listed modules as text to paste: CSV, Markdown or LaTeX, with what each of them would take for markup escaped.

const COPY = { CSV: toCsv, Markdown: toMarkdown, LaTeX: toLatex };

// The table as cells: paths in full, exact amounts.
function cellsOf(graph, rows) {
  const head = ['path', 'type', 'calls', 'input', 'output', ...graph.measures.map((measure) => measure.key)];
  const body = rows.map((item) => {
    const { [TYPE]: type, [CALLS]: calls, [INPUT]: input } = graph.row(item);
    const times = item.count > 1 ? `${type} ×${item.count}` : type;
    const amounts = graph.measures.map((_, i) => String(graph.amount(item, i)));
    return [item.path || '(model)', times, String(calls), input, graph.output(item), ...amounts];
  });
  return [head, ...body];
}

function toCsv(cells) {
  return cells.map((row) => row.map(csvCell).join(',')).join('\n') + '\n';
}

// A spreadsheet takes a cell that begins with one of these for a formula.
function csvCell(text) {
  const safe = /^[=+\-@'\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function toMarkdown(cells) {
  const [head, ...body] = cells.map((row) => `| ${row.map(markdownCell).join(' | ')} |`);
  return [head, `|${' --- |'.repeat(cells[0].length)}`, ...body].join('\n') + '\n';
}

function markdownCell(text) {
  const entities = text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
  return entities.replace(/[\\`*_[\]|~$]/g, (character) => `\\${character}`);
}

const LATEX = {
  '\\': '\\textbackslash{}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}', '×': '$\\times$', '–': '--',
};

function toLatex(cells) {
  const lines = cells.map((row) => `${row.map(latexCell).join(' & ')} \\\\`);
  const columns = `llrll${'r'.repeat(cells[0].length - 5)}`;
  return [`\\begin{tabular}{${columns}}`, lines[0], '\\hline', ...lines.slice(1), '\\end{tabular}'].join('\n') + '\n';
}

function latexCell(text) {
  return text.replace(/[\\~^×–]|[&%$#_{}]/g, (character) => LATEX[character] ?? `\\${character}`);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyFromField(text);
  }
}

// Where the page may not write to the clipboard itself, the browser's own copy command may.
function copyFromField(text) {
  const field = element('textarea', { class: 'hidden-field', 'aria-hidden': 'true' });
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
