// Tables whose headings sort their rows: by number where the cells have one, otherwise by text.

function sortTables() {
  for (const table of document.querySelectorAll('table[data-sorted]')) {
    const headings = [...table.querySelectorAll('thead th')];
    headings.forEach((heading, column) => {
      heading.setAttribute('aria-sort', 'none');
      const button = element('button', { type: 'button', onclick: () => sortRows(table, headings, column) }, heading.textContent);
      heading.replaceChildren(button);
    });
  }
}

function sortRows(table, headings, column) {
  const isNumber = headings[column].classList.contains('number');
  const before = headings[column].getAttribute('aria-sort');
  const isDescending = before === 'none' ? isNumber : before === 'ascending';
  const key = ({ cells }) => (isNumber ? Number(cells[column].dataset.number ?? NaN) : cells[column].textContent.trim());
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  // Rows without a number come last, whatever the order.
  const rank = ([value]) => (isNumber && Number.isNaN(value) ? 1 : 0);
  const compare = isNumber ? (a, b) => a - b : (a, b) => a.localeCompare(b, 'en');
  rows.sort((a, b) => rank(a) - rank(b) || (rank(a) ? 0 : (isDescending ? -1 : 1) * compare(a[0], b[0])));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  headings.forEach((heading, i) => heading.setAttribute('aria-sort', i !== column ? 'none' : isDescending ? 'descending' : 'ascending'));
}
