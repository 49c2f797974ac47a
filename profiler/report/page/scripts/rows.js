// Which modules the table lists, and in which order.

function listRows(graph, { folded, search, sort, descending }) {
  const wanted = search.trim().toLowerCase();
  let rows = graph.list(folded);
  if (wanted) rows = rows.filter((item) => isMatch(graph, item, wanted));
  if (sort !== null) {
    const order = rows.map((item) => [item, sortKey(graph, item, sort)]);
    const sign = descending ? -1 : 1;
    order.sort(([, a], [, b]) => sign * (a < b ? -1 : Number(a > b)));
    rows = order.map(([item]) => item);
  }
  return rows;
}

function isMatch(graph, item, wanted) {
  return item.path.toLowerCase().includes(wanted) || graph.type(item).toLowerCase().includes(wanted);
}

// Columns are numbered: the measures, and by name the text columns.
function sortKey(graph, item, sort) {
  if (sort === 'type') return graph.type(item);
  if (sort === 'input') return graph.row(item)[INPUT];
  if (sort === 'output') return graph.output(item);
  if (sort === 'own') return Number(graph.amount(item, 0, OWN));
  return Number(graph.amount(item, sort));
}
