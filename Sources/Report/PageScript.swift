/// The page's own script, which draws the charts with Vega and shows tooltips.
///
/// It redraws them when the color scheme or the width changes, and before printing. Once all charts
/// are drawn, the root element's `data-charts` is "ok" and their number, or "failed" and the
/// reason. Expressions are interpreted (vega-interpreter), so the page runs without `eval`.
enum PageScript {
    static let text = """
        "use strict";
        (() => {
          const data = JSON.parse(document.getElementById("charts").textContent);
          const dark = matchMedia("(prefers-color-scheme: dark)");
          const root = document.documentElement;
          // A4 without its margins, at 96 pixels an inch.
          const printedWidth = 690;
          const charts = data.specifications.map((specification, index) => ({
            specification, box: document.getElementById("chart-" + (index + 1)), view: null, width: 0,
          }));
          let printing = false;
          let failure = null;

          const tooltip = document.createElement("div");
          tooltip.id = "tooltip";
          tooltip.hidden = true;
          document.body.append(tooltip);
          let showing = 0;
          function hideTooltip() {
            clearTimeout(showing);
            tooltip.hidden = true;
          }
          // The same event changes the signals that the tooltip depends on, so the tooltip is read
          // after Vega has evaluated them.
          function showTooltip(handler, event, item) {
            clearTimeout(showing);
            // A view that ends calls without an event.
            const leaves = !event || event.type === "mouseout" || event.type === "touchend";
            if (leaves || !item) return hideTooltip();
            const { clientX, clientY } = event.touches && event.touches[0] || event;
            showing = setTimeout(() => placeTooltip(item.tooltip, clientX, clientY));
          }
          function placeTooltip(text, clientX, clientY) {
            tooltip.hidden = text == null || text === "";
            if (tooltip.hidden) return;
            tooltip.textContent = text;
            const size = tooltip.getBoundingClientRect();
            const free = root.clientWidth - size.width - 4;
            const right = clientX + 14;
            const x = right > free ? clientX - size.width - 14 : right;
            const y = clientY - size.height - 14;
            tooltip.style.left = Math.max(4, Math.min(x, free)) + "px";
            tooltip.style.top = (y < 4 ? clientY + 18 : y) + "px";
          }
          addEventListener("scroll", hideTooltip, { passive: true });

          const logger = {
            level() { return this; },
            error(...reasons) { failed(reasons); return this; },
            warn(...reasons) { console.warn(...reasons); return this; },
            info() { return this; },
            debug() { return this; },
          };
          function failed(reasons) {
            failure = failure || reasons.map(String).join(" ");
            console.error(...reasons);
          }

          function available(chart) {
            const most = chart.specification.usermeta && chart.specification.usermeta.maximumWidth;
            return Math.min(printing ? printedWidth : chart.box.clientWidth, most || Infinity);
          }
          async function draw(chart) {
            chart.width = available(chart);
            const specification = Object.assign({}, chart.specification, { width: chart.width });
            specification.signals = specification.signals.map((signal) =>
              signal.name === "containerWidth" ? { ...signal, value: chart.width } : signal);
            const theme = !printing && dark.matches ? data.dark : data.light;
            try {
              if (chart.view) chart.view.finalize();
              const runtime = vega.parse(specification, theme, { ast: true });
              chart.box.replaceChildren();
              chart.view = new vega.View(runtime, {
                expr: vega.expressionInterpreter, renderer: "svg", container: chart.box, logger,
                hover: false, tooltip: showTooltip,
              });
              await chart.view.runAsync();
              for (const drawn of chart.box.querySelectorAll("svg")) {
                drawn.setAttribute("aria-hidden", "true");
              }
            } catch (error) {
              chart.view = null;
              failed([error]);
              const message = document.createElement("p");
              message.className = "failure";
              message.textContent = "This chart could not be drawn: " + error;
              chart.box.replaceChildren(message);
            }
          }
          async function drawAll() {
            await Promise.all(charts.map(draw));
            root.dataset.charts = failure ? "failed " + failure : "ok " + charts.length;
          }

          dark.addEventListener("change", drawAll);
          addEventListener("beforeprint", () => { printing = true; drawAll(); });
          addEventListener("afterprint", () => { printing = false; drawAll(); });
          let waiting = 0;
          addEventListener("resize", () => {
            cancelAnimationFrame(waiting);
            waiting = requestAnimationFrame(() => {
              if (!printing) charts.filter((chart) => chart.width !== available(chart)).forEach(draw);
            });
          });
          drawAll();
        })();
        """
}
