// Put the parts together: the table at once, the pictures when plotly is unpacked.

class ReportView {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.graph = new ModuleGraph(data);
    this.pictures = [];
    this.table = new ModuleTable(root, this.graph, (item) => this.select(item));
  }

  // Draw the icicle, then one picture after the other, so that the page stays responsive.
  async picture(plotly) {
    const { root, data, graph } = this;
    this.icicle = new Icicle(root, plotly, graph, (item) => this.select(item, this.icicle));
    this.pictures.push(this.icicle);
    this.follow();
    root.dataset.first = Math.round(performance.now());
    const others = [
      data.rooflines.length && (() => new Roofline(root, plotly, data.rooflines)),
      data.memory && (() => new MemoryTimeline(root, plotly, data.memory)),
      data.peers.length && (() => new Waterfalls(root, plotly, data.peers)),
    ].filter(Boolean);
    for (const make of others) {
      await new Promise(requestAnimationFrame);
      this.pictures.push(make());
    }
    root.dataset.drawn = Math.round(performance.now());
  }

  select(item, from = null) {
    writeLink(item.path);
    this.table.show(item);
    if (this.icicle && from !== this.icicle) this.icicle.show(item);
  }

  // Choose the module of the address.
  follow() {
    const path = readLink(), item = path === null ? null : this.graph.find(path);
    if (!item) return;
    this.table.show(item);
    if (this.icicle) this.icicle.show(item);
  }

  draw() {
    for (const picture of this.pictures) picture.draw();
  }

  // Draw what is not drawn yet; a hidden report has no width to draw in.
  async show(plotly) {
    this.table.draw();
    if (plotly && !this.icicle) await this.picture(plotly);
  }
}

async function start() {
  const data = JSON.parse(document.getElementById('data').textContent);
  const views = [...document.querySelectorAll('article')].map((root, i) => new ReportView(root, data[i]));
  const shown = views.length > 1 ? [makeComparison(views), ...views] : views;
  const redraw = () => shown.forEach((view) => view.draw());
  addEventListener('hashchange', () => views.forEach((view) => view.follow()));
  darkness.addEventListener('change', redraw);
  whilePrinting(redraw);
  let current = shown[0], plotly = null;
  listenToTabs((i) => { current = shown[i]; current.show(plotly); });
  await new Promise((ready) => requestAnimationFrame(() => setTimeout(ready)));
  plotly = await loadPlotly();
  await current.show(plotly);
}

start();
