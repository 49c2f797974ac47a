// Several profiles as points: one measure against another.

function makeComparison(views) {
  const root = document.getElementById('panel-comparison');
  return part(root, 'difference') ? new Difference(root, views) : new Comparison(root, views);
}

// The measures that all profiles have, other than columns of the table alone.
function sharedMeasures(views) {
  const [first, ...others] = views.map(({ graph }) => graph.measures.filter(({ pictured }) => pictured));
  return first.filter(({ key }) => others.every((measures) => measures.some((measure) => measure.key === key)));
}

function totalOf({ graph }, key) {
  return Number(graph.amount(graph.root, graph.measures.findIndex((measure) => measure.key === key)));
}

class Comparison {
  constructor(root, views) {
    this.views = views;
    this.figure = part(root, 'comparison');
    this.measures = sharedMeasures(views);
    const place = (wanted) => this.measures.findIndex(({ key }) => key === wanted);
    this.axes = { across: place('params'), up: Math.max(place('flops'), place('estimate_s')) };
    part(root, 'comparison-controls').replaceChildren(...['across', 'up'].map((axis) => this.control(axis)));
  }

  control(axis) {
    const choose = chooser(`measure ${axis}`, this.measures.map(({ label: text }) => text), (i) => { this.axes[axis] = i; this.draw(); });
    choose.selectedIndex = this.axes[axis];
    return element('label', {}, `${axis}: `, choose);
  }

  show(plotly) {
    this.plotly = plotly;
    this.draw();
  }

  draw() {
    if (!this.plotly) return;
    const [x, y] = [this.measures[this.axes.across], this.measures[this.axes.up]];
    const points = this.views.map((view) => [totalOf(view, x.key), totalOf(view, y.key)]);
    const layout = baseLayout(460);
    for (const [axis, measure, i] of [['xaxis', x, 0], ['yaxis', y, 1]]) {
      const type = points.every((point) => point[i] > 0) ? 'log' : 'linear';
      Object.assign(layout[axis], { type, exponentformat: 'SI', title: { text: measure.label, font: { color: colour('muted'), size: 12 } } });
    }
    const names = this.views.map(({ root }) => label(root.getAttribute('aria-label'), 40));
    this.plotly.react(this.figure, [{
      type: 'scatter', mode: this.views.length > 30 ? 'markers' : 'markers+text', x: points.map(([a]) => a), y: points.map(([, b]) => b),
      text: names, textposition: 'top center', cliponaxis: false, marker: { size: 10, color: colour('accent'), line: { width: 1, color: colour('surface') } },
      customdata: points.map(([a, b]) => [formatAmount(a, x), formatAmount(b, y)]),
      hovertemplate: '%{text}<br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>',
    }], layout, PLOT_CONFIG);
  }
}
