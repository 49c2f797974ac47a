// Tabs, as the WAI-ARIA practices describe them: arrow keys move between them.

function listenToTabs(show) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (chosen) => {
    tabs.forEach((tab, i) => {
      const isChosen = i === chosen;
      tab.setAttribute('aria-selected', isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !isChosen;
    });
    show(chosen);
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => choose(i));
    tab.addEventListener('keydown', ({ key }) => {
      const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
      if (next === undefined) return;
      const place = (next + tabs.length) % tabs.length;
      tabs[place].focus();
      choose(place);
    });
  });
  if (tabs.length) choose(0);
}
