// The icicle of the modules: the width is the share of a measure, and so is the depth of the colour.

const DEPTH = 7, MOST_ITEMS = 600, LEAST_SHARE = 4e-4;

// The items below the top: the nearest levels, as many as can be seen.
function visibleItems(graph, top, measure, children = (item) => graph.children(item)) {
  const whole = Number(graph.amount(top, measure)), kept = [top];
  let level = [top];
  for (let depth = 1; depth < DEPTH && level.length; depth += 1) {
    level = level.flatMap(children);
    level = level.filter((item) => Number(graph.amount(item, measure)) > LEAST_SHARE * whole);
    if (kept.length + level.length > MOST_ITEMS) break;
    kept.push(...level);
  }
  return kept;
}

class Icicle {
  constructor(root, plotly, graph, select) {
    Object.assign(this, { plotly, graph, select });
    this.measure = 0;
    this.top = this.chosen = graph.root;
    this.figure = part(root, 'icicle');
    this.figure.replaceChildren();
    this.figure.classList.remove('waiting');
    this.crumbs = part(root, 'crumbs');
    this.status = part(root, 'icicle-status');
    this.pictured = graph.measures.map((_, i) => i).filter((i) => this.isPictured(i));
    this.measure = this.pictured[0] ?? 0;
    const choose = chooser('Measure of the icicle', this.pictured.map((i) => graph.measures[i].label), (i) => this.setMeasure(this.pictured[i]));
    choose.dataset.part = 'measure';
    part(root, 'icicle-controls').replaceChildren(element('label', {}, 'Width: ', choose));
    this.figure.addEventListener('keydown', (event) => this.onKey(event));
    this.draw();
  }

  isPictured(i) {
    return this.graph.measures[i].pictured && Number(this.graph.amount(this.graph.root, i)) > 0;
  }

  setMeasure(measure) {
    this.measure = measure;
    this.draw();
  }

  draw() {
    const { graph } = this, items = visibleItems(graph, this.top, this.measure), measure = graph.measures[this.measure];
    const root = Number(graph.amount(graph.root, this.measure));
    const amounts = items.map((item) => Number(graph.amount(item, this.measure)));
    const tints = amounts.map((amount) => shade(root ? amount / root : 0));
    const uncounted = graph.measures.findIndex(({ key }) => key === 'uncounted');
    const trace = {
      type: 'icicle', branchvalues: 'total', sort: false, tiling: { orientation: 'v', pad: 1 },
      ids: items.map((item) => item.path || '.'),
      parents: items.map((item) => (item === this.top ? '' : item.parent.path || '.')),
      labels: items.map((item) => this.text(item)),
      values: amounts,
      customdata: items.map((item, i) => [label(item.path || graph.type(item)), label(graph.type(item)),
        label(formatAmount(amounts[i], measure)), formatShare(amounts[i], root)]),
      hovertemplate: '%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]} · %{customdata[3]} % of the model<extra></extra>',
      marker: {
        colors: tints,
        line: { width: items.map((item) => (item.path === this.chosen.path ? 3 : 1)), color: items.map((item) => colour(item.path === this.chosen.path ? 'text' : 'surface')) },
        pattern: hatching(items.map((item) => Number(graph.amount(item, uncounted)) > 0), tints),
      },
      pathbar: { visible: false }, leaf: { opacity: 1 }, textfont: { size: 13, color: tints.map(inkOn) },
    };
    const depth = Math.max(...items.map((item) => item.level)) - this.top.level + 1;
    this.plotly.react(this.figure, [trace], { ...baseLayout(Math.max(160, 44 * depth + 16)), uniformtext: { minsize: 11, mode: 'hide' } }, PLOT_CONFIG);
    if (!this.listening) {
      this.figure.on('plotly_icicleclick', (event) => this.onClick(event));
      this.listening = true;
    }
    this.drawCrumbs();
    this.say();
  }

  text(item) {
    const times = item.count > 1 ? ` ×${item.count}` : '';
    return label(`${this.graph.label(item)}${times}`, 40);
  }

  onClick({ points }) {
    const id = points[0].id;
    const item = this.graph.find(id === '.' ? '' : id);
    this.zoom(item === this.top && item.parent ? item.parent : item);
    return false;
  }

  zoom(item) {
    this.top = item;
    this.choose(item);
  }

  choose(item) {
    this.select(item, this);
    this.chosen = item;
    this.draw();
  }

  show(item) {
    this.chosen = item;
    this.top = this.graph.row(item)[EDGES].length ? item : item.parent ?? item;
    this.draw();
  }

  onKey(event) {
    const act = {
      ArrowDown: () => this.move(this.siblingsBelow()[0]), ArrowUp: () => this.move(this.chosen.parent),
      ArrowRight: () => this.beside(1), ArrowLeft: () => this.beside(-1), Home: () => this.zoom(this.graph.root),
      Enter: () => this.zoom(this.chosen), Escape: () => this.zoom(this.top.parent ?? this.top),
      Backspace: () => this.zoom(this.top.parent ?? this.top),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  siblingsBelow() {
    return this.graph.children(this.chosen).filter((item) => Number(this.graph.amount(item, this.measure)));
  }

  beside(step) {
    const { parent, path } = this.chosen;
    if (!parent) return;
    const siblings = this.graph.children(parent).filter((item) => Number(this.graph.amount(item, this.measure)));
    this.move(siblings[siblings.findIndex((item) => item.path === path) + step]);
  }

  // Choose an item; the picture follows if it is out of view.
  move(item) {
    if (!item) return;
    if (!isWithin(item.path, this.top.path) && this.top.path) this.top = item;
    if (item.level - this.top.level >= DEPTH) this.top = item.parent;
    this.choose(item);
  }

  drawCrumbs() {
    const items = lineage(this.top);
    this.crumbs.replaceChildren(...items.map((item) => element('li', {}, item === this.top
      ? element('span', { 'aria-current': 'location' }, shorten(this.graph.label(item), 60))
      : element('button', { type: 'button', onclick: () => this.zoom(item) }, shorten(this.graph.label(item), 60)))));
  }

  say() {
    const { chosen, graph } = this, measure = graph.measures[this.measure], amount = graph.amount(chosen, this.measure);
    const share = formatShare(amount, graph.amount(graph.root, this.measure));
    const own = graph.amount(chosen, this.measure, OWN);
    const parts = [`${shorten(chosen.path || graph.type(chosen), 200)}: ${formatExact(amount, measure)}`, `${share} % of the model’s ${measure.label}`];
    if (Number(own) && graph.row(chosen)[EDGES].length) parts.push(`${formatAmount(own, measure)} of its own`);
    this.status.textContent = parts.join(' · ') + (measure.note ? ` (${measure.note})` : '');
  }
}
