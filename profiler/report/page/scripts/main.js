// Put the parts together: the table at once, the pictures when plotly is unpacked.

class ReportView {
  constructor(root, data, tab) {
    this.root = root;
    this.tab = tab;
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
    writeLink(item.path, this.tab);
    this.table.show(item);
    if (this.icicle && from !== this.icicle) this.icicle.show(item);
  }

  // Choose the module of the address.
  follow() {
    const { tab, path } = readLink(), item = path === null || tab !== this.tab ? null : this.graph.find(path);
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
  const unpacked = unpack(document.getElementById('plotly').textContent);
  const data = JSON.parse(document.getElementById('data').textContent);
  const several = document.getElementById('panel-comparison') !== null;
  const views = [...document.querySelectorAll('article')].map((root, i) => new ReportView(root, data[i], several ? i + 1 : 0));
  let choose = () => {}, plotly = null;
  const shown = several ? [makeComparison(views, (i) => choose(i)), ...views] : views;
  let current = shown[0];
  const redraw = () => shown.forEach((view) => view.draw());
  darkness.addEventListener('change', redraw);
  whilePrinting(redraw);
  sortTables();
  if (several && views.length) {
    choose = listenToTabs((i) => { if (readLink().tab !== i) writeLink('', i); current = shown[i]; current.show(plotly); });
    choose(readLink().tab);
  }
  addEventListener('hashchange', () => { choose(readLink().tab); views.forEach((view) => view.follow()); });
  await new Promise((ready) => requestAnimationFrame(() => setTimeout(ready)));
  plotly = runPlotly(await unpacked);
  await current.show(plotly);
}

start();
