// The table of the modules. Only the rows in view exist, however many modules there are; printing lists them all.

const ROW_HEIGHT = 30, SPARE = 12, FEW = 300, INDENT = innerWidth > 640 ? 14 : 7;

class ModuleTable {
  constructor(root, graph, select) {
    this.graph = graph;
    this.select = select;
    this.state = { folded: true, search: '', sort: null, descending: true };
    this.selected = null;
    this.scroller = part(root, 'table');
    this.status = part(root, 'table-status');
    this.body = element('tbody');
    this.columns = this.listColumns();
    this.table = element('table', { class: 'modules' }, element('caption', { class: 'unseen' },
      'Modules with the amounts of their submodules. Choose a heading to sort.'), this.head(), this.body);
    this.scroller.replaceChildren(this.table);
    this.scroller.addEventListener('scroll', () => requestAnimationFrame(() => this.draw()));
    this.controls(root);
    this.update();
  }

  listColumns() {
    const measures = this.graph.measures.map((measure, i) => ({ title: measure.label, sort: i, measure, note: measure.note }));
    return [
      { title: 'module', sort: null, note: 'in the order of the model' },
      { title: 'type', sort: 'type' },
      ...measures.slice(0, 2),
      { title: '% of FLOPs', share: true, sort: 1, note: 'of the FLOPs of the whole run' },
      ...measures.slice(2).filter(({ measure, sort }) => measure.pictured || Number(this.graph.amount(this.graph.root, sort))),
      { title: 'input', sort: 'input', text: true },
      { title: 'output', sort: 'output', text: true },
    ];
  }

  head() {
    const kind = (column) => (column.measure || column.share ? 'number' : null);
    this.headings = this.columns.map((column) => element('th', { scope: 'col', class: kind(column), title: column.note ?? null },
      element('button', { type: 'button', onclick: () => this.sortBy(column) }, column.title)));
    return element('thead', {}, element('tr', {}, ...this.headings));
  }

  controls(root) {
    const search = part(root, 'search'), fold = part(root, 'fold');
    search.addEventListener('input', () => this.change({ search: search.value }));
    fold.addEventListener('change', () => this.change({ folded: fold.checked }));
    for (const button of root.querySelectorAll('[data-copy]')) {
      button.addEventListener('click', () => this.copy(button.dataset.copy));
    }
    addEventListener('beforeprint', () => this.draw(true));
    addEventListener('afterprint', () => this.draw());
  }

  async copy(form) {
    await copyText(COPY[form](cellsOf(this.graph, this.rows)));
    this.status.textContent = `${this.rows.length} rows copied as ${form}`;
  }

  sortBy(column) {
    const again = this.state.sort === column.sort;
    const first = typeof column.sort === 'number';
    this.change({ sort: column.sort, descending: again ? !this.state.descending : first });
  }

  change(changes) {
    Object.assign(this.state, changes);
    this.scroller.scrollTop = 0;
    this.update();
  }

  update() {
    this.rows = listRows(this.graph, this.state);
    this.headings.forEach((heading, i) => {
      const column = this.columns[i], active = column.sort === this.state.sort && !column.share;
      heading.setAttribute('aria-sort', !active ? 'none' : this.state.sort === null || !this.state.descending ? 'ascending' : 'descending');
    });
    this.table.setAttribute('aria-rowcount', this.rows.length + 1);
    this.status.textContent = this.rows.length === 1 ? '1 row' : `${this.rows.length.toLocaleString('en-US')} rows`;
    this.draw();
  }

  draw(all = false) {
    const whole = all || this.rows.length <= FEW;
    const first = whole ? 0 : Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - SPARE);
    const seen = whole ? this.rows.length : Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * SPARE;
    const last = Math.min(this.rows.length, first + seen);
    const rows = this.rows.slice(first, last).map((item, i) => this.row(item, first + i));
    this.body.replaceChildren(this.gap(first), ...rows, this.gap(this.rows.length - last));
  }

  gap(rows) {
    const made = element('tr', { class: 'gap', 'aria-hidden': 'true' });
    made.style.height = `${rows * ROW_HEIGHT}px`;
    made.hidden = rows === 0;
    return made;
  }

  row(item, position) {
    const chosen = this.selected !== null && this.selected === item.path;
    const cells = this.columns.slice(1).map((column) => this.cell(item, column));
    return element('tr', { 'aria-rowindex': position + 2, class: chosen ? 'chosen' : null }, this.name(item), ...cells);
  }

  name(item) {
    const isTree = this.state.sort === null && !this.state.search;
    const text = isTree ? this.graph.label(item) : item.path || this.graph.type(item);
    const button = element('button', { type: 'button', title: shorten(item.path, 2000) || null, onclick: () => this.select(item) },
      shorten(text, 300));
    const cell = element('th', { scope: 'row' }, button);
    cell.style.paddingLeft = `${(isTree ? Math.min(item.level, 24) : 0) * INDENT + 8}px`;
    return cell;
  }

  cell(item, column) {
    const type = this.graph.type(item);
    if (column.share) return this.share(item);
    if (column.sort === 'type') return element('td', {}, type + (item.count > 1 ? ` ×${item.count}` : ''));
    if (column.sort === 'input') return element('td', {}, this.graph.row(item)[INPUT]);
    if (column.sort === 'output') return element('td', {}, this.graph.output(item));
    const amount = this.graph.amount(item, column.sort);
    const text = Number(amount) ? formatAmount(amount, { ...column.measure, unit: '' }) : '0';
    return element('td', { class: 'number', title: formatExact(amount, column.measure) }, text);
  }

  share(item) {
    const whole = Number(this.graph.amount(this.graph.root, 1)), part = Number(this.graph.amount(item, 1));
    const bar = element('span', { class: 'bar' });
    bar.style.width = `${whole ? Math.max(0, 100 * part / whole) : 0}%`;
    return element('td', { class: 'number share' }, bar, element('span', {}, formatShare(part, whole)));
  }

  show(item) {
    this.selected = item.path;
    const position = this.rows.findIndex((row) => row.path === item.path);
    const top = position * ROW_HEIGHT, { scrollTop, clientHeight } = this.scroller;
    if (position >= 0 && (top < scrollTop || top > scrollTop + clientHeight - 2 * ROW_HEIGHT)) {
      this.scroller.scrollTop = Math.max(0, top - clientHeight / 3);
    }
    this.draw();
  }
}
