// A model before and after a change: two icicles back to back, in one scale.

class Difference {
  constructor(root, views) {
    this.views = views;
    this.figure = part(root, 'difference');
    this.status = part(root, 'difference-status');
    this.measures = sharedMeasures(views);
    this.measure = this.measures[0];
    this.tops = views.map(({ graph }) => graph.root);
    const choose = chooser('measure of the icicles', this.measures.map(({ label: text }) => text), (i) => { this.measure = this.measures[i]; this.draw(); });
    choose.dataset.part = 'difference-measure';
    part(root, 'difference-controls').replaceChildren(element('label', {}, 'Width: ', choose));
  }

  show(plotly) {
    this.plotly = plotly;
    this.draw();
  }

  amount(side, item) {
    const { graph } = this.views[side];
    return item ? Number(graph.amount(item, graph.measures.findIndex(({ key }) => key === this.measure.key))) : 0;
  }

  // The same module, or the same run of blocks, on the other side; null if there is none.
  counterpart(side, item) {
    return this.views[1 - side].graph.find(item.path);
  }

  // The submodules; a run of blocks that is no such run on the other side is taken apart.
  children(side, item) {
    const { graph } = this.views[side], isShared = this.counterpart(side, item);
    return graph.children(item).flatMap((child) => (
      child.count > 1 && isShared && !this.counterpart(side, child) ? graph.members(child) : [child]));
  }

  draw() {
    if (!this.plotly) return;
    const sides = [0, 1], amounts = sides.map((side) => this.amount(side, this.tops[side]));
    const widest = Math.max(...amounts) || 1;
    const traces = sides.map((side) => this.trace(side, 0.49 * (amounts[side] / widest)));
    const deepest = Math.max(...traces.map(({ ids }) => ids.length ? Math.max(...ids.map((id) => id.split('.').length)) : 1));
    const top = this.tops[0]?.level ?? this.tops[1].level;
    const layout = { ...baseLayout(Math.max(180, 44 * Math.min(DEPTH, deepest - top + 1) + 16)), uniformtext: { minsize: 11, mode: 'hide' } };
    this.plotly.react(this.figure, traces.filter(({ ids }) => ids.length), layout, PLOT_CONFIG);
    if (!this.listening) {
      this.figure.on('plotly_icicleclick', (event) => this.onClick(event));
      this.listening = true;
    }
    this.say();
  }

  trace(side, width) {
    const top = this.tops[side], { graph } = this.views[side];
    const column = graph.measures.findIndex(({ key }) => key === this.measure.key);
    const items = top ? visibleItems(graph, top, column, (item) => this.children(side, item)) : [];
    const others = items.map((item) => this.counterpart(side, item));
    const sums = items.map((item) => this.amount(side, item));
    const changes = items.map((_, i) => (sums[i] - this.amount(1 - side, others[i])) * (side ? 1 : -1));
    const tints = changes.map((change) => colour(change > 0 ? 'grew' : change < 0 ? 'shrank' : 'same'));
    return {
      type: 'icicle', name: String(side), branchvalues: 'total', sort: false, tiling: { orientation: 'v', pad: 1, flip: side ? '' : 'x' },
      domain: { x: side ? [0.505, 0.505 + width] : [0.495 - width, 0.495] },
      ids: items.map((item) => item.path || '.'), parents: items.map((item) => (item === top ? '' : item.parent.path || '.')),
      labels: items.map((item) => label(`${graph.label(item)}${item.count > 1 ? ` ×${item.count}` : ''}`, 40)), values: sums,
      customdata: items.map((item, i) => [label(item.path || graph.type(item)), label(formatAmount(sums[i], this.measure)), this.words(changes[i], others[i])]),
      hovertemplate: '%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>',
      marker: {
        colors: tints, line: { width: 1, color: colour('surface') },
        pattern: hatching(others.map((other) => !other), tints),
      },
      pathbar: { visible: false }, leaf: { opacity: 1 }, textfont: { size: 13, color: colour('text') },
    };
  }

  words(change, other) {
    if (!other) return 'on this side only';
    return change ? `${change > 0 ? '+' : '−'}${formatAmount(Math.abs(change), this.measure)}` : 'unchanged';
  }

  onClick({ points }) {
    const [{ id, data }] = points, side = Number(data.name);
    const item = this.views[side].graph.find(id === '.' ? '' : id);
    const next = item.path === this.tops[side].path && item.parent ? item.parent : item;
    const other = this.counterpart(side, next);
    this.tops = side ? [other, next] : [next, other];
    this.draw();
    return false;
  }

  say() {
    const [before, after] = [0, 1].map((side) => this.amount(side, this.tops[side]));
    const path = (this.tops[0] ?? this.tops[1]).path || 'the whole model';
    this.status.textContent = `${shorten(path, 200)}: ${formatAmount(before, this.measure)} before, ${formatAmount(after, this.measure)} after`;
  }
}
