// The live memory over the run, stacked by category, with the peak marked.

const PATTERNS = ['', '/', '.', '\\', 'x', '-', '|'];

class MemoryTimeline {
  constructor(root, plotly, data) {
    Object.assign(this, { plotly, data });
    this.figure = part(root, 'memory');
    this.draw();
  }

  draw() {
    const { data } = this, names = Object.keys(data.bytes);
    const traces = names.map((name, i) => ({
      type: 'scatter', mode: 'lines', stackgroup: 'live', name: name.replace('_', ' '), x: data.at, y: data.bytes[name],
      line: { width: 0.5, color: colour(`category-${name}`), shape: 'hv' }, fillcolor: colour(`category-${name}`),
      fillpattern: { shape: PATTERNS[i % PATTERNS.length], fgcolor: colour('surface'), bgcolor: colour(`category-${name}`), size: 7, solidity: 0.18, fillmode: 'overlay' },
      customdata: data.bytes[name].map((bytes) => formatSize(bytes)), hovertemplate: '%{customdata}',
    }));
    const layout = baseLayout(360), top = Math.max(...data.at.map((_, i) => names.reduce((sum, name) => sum + data.bytes[name][i], 0)));
    Object.assign(layout, { showlegend: true, hovermode: 'x unified' });
    Object.assign(layout.xaxis, { title: { text: 'allocations and frees', font: { color: colour('muted'), size: 12 } }, unifiedhovertitle: { text: 'event %{x}' } });
    Object.assign(layout.yaxis, sizeTicks(top), { rangemode: 'tozero' });
    layout.annotations = [this.peak()];
    this.plotly.react(this.figure, [...traces, this.where(names)], layout, PLOT_CONFIG);
  }

  // A line along the top that names the module and the operator of each moment.
  where(names) {
    const { data } = this;
    const totals = data.at.map((_, i) => names.reduce((sum, name) => sum + data.bytes[name][i], 0));
    return {
      type: 'scatter', mode: 'lines', name: 'total', x: data.at, y: totals, line: { width: 1.5, color: colour('text'), shape: 'hv' },
      customdata: totals.map((total, i) => [formatSize(total), label(data.where[i][0] || 'the model itself', 60), label(data.where[i][1], 60), data.phase[i]]),
      hovertemplate: '%{customdata[0]} %{customdata[3]}<br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>', showlegend: false,
    };
  }

  peak() {
    const { peak } = this.data;
    const late = this.data.at.indexOf(peak.at) > this.data.at.length / 2;
    return {
      x: peak.at, y: peak.bytes, text: `peak ${formatSize(peak.bytes)}`, showarrow: true, arrowhead: 0, arrowcolor: colour('text'), ax: late ? -60 : 60, ay: -18,
      font: { size: 12, color: colour('text') }, bgcolor: colour('surface'), bordercolor: colour('line-strong'), borderpad: 3,
    };
  }
}

// Ticks at round binary sizes, five at most.
function sizeTicks(top) {
  let step = 2 ** Math.ceil(Math.log2(Math.max(top, 1) / 5));
  const values = [];
  for (let value = 0; value <= top; value += step) values.push(value);
  return { tickvals: values, ticktext: values.map((value) => (value ? formatSize(value) : '0')) };
}
