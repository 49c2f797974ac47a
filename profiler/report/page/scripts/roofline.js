// The roofline: each operator at its arithmetic intensity and estimated rate, below what the device allows.

class Roofline {
  constructor(root, plotly, views) {
    Object.assign(this, { plotly, views });
    this.figure = part(root, 'roofline');
    this.status = part(root, 'roofline-status');
    this.precision = views[0].precision;
    this.mode = views[0].mode;
    part(root, 'roofline-controls').replaceChildren(...this.controls());
    this.draw();
  }

  controls() {
    const made = [];
    for (const name of ['precision', 'mode']) {
      const options = [...new Set(this.views.map((view) => view[name]))].filter(Boolean);
      if (!options.length) continue;
      const choose = chooser(`${name} of the roofline`, options, (i) => { this[name] = options[i]; this.draw(); });
      choose.dataset.part = `roofline-${name}`;
      choose.selectedIndex = options.indexOf(this[name]);
      made.push(element('label', {}, `${name}: `, choose));
    }
    return made;
  }

  view() {
    const { precision, mode, views } = this;
    return views.find((view) => view.precision === precision && view.mode === mode)
      ?? views.find((view) => view.precision === precision) ?? views[0];
  }

  draw() {
    const view = this.view();
    const points = view.operators.map(toPoint).filter(({ ops, bytes, seconds }) => ops > 0 && bytes > 0 && seconds > 0);
    const layout = baseLayout(460);
    Object.assign(layout.xaxis, { type: 'log' }, axisTitle('arithmetic intensity, operations per byte'));
    Object.assign(layout.yaxis, { type: 'log' }, axisTitle('operations per second (estimate)'));
    Object.assign(layout, { showlegend: true, legend: { ...layout.legend, itemsizing: 'constant' }, margin: { l: 8, r: 16, t: 8, b: 8 } });
    this.plotly.react(this.figure, [...roofTraces(view, points), ...pointTraces(points)], layout, PLOT_CONFIG);
    const missing = view.operators.length - points.length;
    this.status.textContent = `${view.device} in ${view.precision}${view.mode ? `, ${view.mode}` : ''}: an estimated ${formatSeconds(view.estimate_s)}, never less than ${formatSeconds(view.bound_s)}.`
      + (missing ? ` Not drawn, as they have no arithmetic: ${missing} of ${view.operators.length} operators.` : '');
  }
}

function axisTitle(text) {
  return { title: { text, font: { color: colour('muted'), size: 12 } }, exponentformat: 'SI', dtick: 1 };
}

function toPoint([name, dtype, calls, ops, bytes, bound, seconds, ridge]) {
  const side = ridge === null || ops / bytes >= ridge ? 'compute' : 'bandwidth';
  return { name, dtype, calls, ops, bytes, bound, seconds, side, intensity: ops / bytes, rate: ops / seconds };
}

// The line of each engine: the memory's slope up to the ridge point, then the engine's peak.
function roofTraces({ bandwidth, roofs }, points) {
  if (!points.length) return [];
  const intensities = points.map(({ intensity }) => intensity);
  const ridges = bandwidth ? roofs.map(([, rate]) => rate / bandwidth) : [];
  const low = Math.min(...intensities, ...ridges) / 4, high = Math.max(...intensities, ...ridges) * 4;
  return roofs.map(([name, rate], i) => {
    const ridge = bandwidth ? rate / bandwidth : low;
    const x = [low, ridge, high], y = [bandwidth ? low * bandwidth : rate, rate, rate];
    return {
      type: 'scatter', mode: 'lines+text', x, y, name: `${name}: ${formatCount(rate, 'OPS')}`,
      text: ['', bandwidth ? `ridge ${ridge.toPrecision(3)} op/B` : '', ''], textposition: 'top left', textfont: { size: 11, color: colour('muted') },
      line: { color: colour(i ? 'muted' : 'text'), width: i ? 1.5 : 2, dash: ['solid', 'dash', 'dot', 'dashdot'][i % 4] }, hoverinfo: 'name',
    };
  });
}

// The area of a point is its share of the time; the symbol is its side of the ridge point.
function pointTraces(points) {
  const longest = Math.max(...points.map(({ seconds }) => seconds));
  return [['compute', 'circle', 'accent'], ['bandwidth', 'diamond', 'second']].map(([side, symbol, tint]) => {
    const here = points.filter((point) => point.side === side);
    return {
      type: 'scatter', mode: 'markers', name: `limited by ${side}`, x: here.map(({ intensity }) => intensity), y: here.map(({ rate }) => rate),
      marker: {
        symbol, color: colour(tint), opacity: 0.75, line: { width: 1, color: colour('surface') },
        size: here.map(({ seconds }) => seconds), sizemode: 'area', sizeref: longest / 1600, sizemin: 4,
      },
      customdata: here.map((p) => [label(p.name), p.calls, formatSeconds(p.seconds), formatSeconds(p.bound), label(p.dtype)]),
      hovertemplate: '%{customdata[0]} %{customdata[4]} ×%{customdata[1]}<br>estimate %{customdata[2]}, bound %{customdata[3]}<br>%{x:.3~s} op/B · %{y:.3~s}OPS<extra></extra>',
    };
  }).filter(({ x }) => x.length);
}
