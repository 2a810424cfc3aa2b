/// The page's own script, which draws the charts with Vega and shows tooltips.
///
/// It redraws them when the color scheme or the width changes, and before printing. Once all charts
/// are drawn, the root element's `data-charts` is "ok" and their number, or "failed" and the
/// reason. Expressions are interpreted (vega-interpreter), so the page runs without `eval`.
///
/// Under each chart, buttons save it as a picture in the light theme, and its numbers as
/// comma-separated values (RFC 4180), from the table that its specification describes.
enum PageScript {
    static let text = #"""
        "use strict";
        (() => {
          const data = JSON.parse(document.getElementById("charts").textContent);
          const dark = matchMedia("(prefers-color-scheme: dark)");
          const root = document.documentElement;
          // A4 without its margins, at 96 pixels an inch.
          const printedWidth = 690;
          const charts = data.specifications.map((specification, index) => {
            const box = document.getElementById("chart-" + (index + 1));
            const figure = box.closest("figure");
            return {
              specification, box, figure, title: figure.querySelector("h3").textContent,
              view: null, width: 0,
            };
          });
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
          function view(chart, theme, options) {
            const specification = Object.assign({}, chart.specification, { width: chart.width });
            specification.signals = specification.signals.map((signal) =>
              signal.name === "containerWidth" ? { ...signal, value: chart.width } : signal);
            const runtime = vega.parse(specification, theme, { ast: true });
            return new vega.View(runtime, {
              expr: vega.expressionInterpreter, logger, hover: false, ...options,
            });
          }
          async function draw(chart) {
            chart.width = available(chart);
            const theme = !printing && dark.matches ? data.dark : data.light;
            try {
              if (chart.view) chart.view.finalize();
              chart.box.replaceChildren();
              chart.view = view(chart, theme, {
                renderer: "svg", container: chart.box, tooltip: showTooltip,
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
            chart.buttons.hidden = !chart.view;
          }

          function slots(chart, list, name) {
            return chart.specification[list].find((slot) => slot.name === name);
          }
          // Returns the rows of a chart's table; a grid has a row for each of its places.
          function rows(chart, name) {
            const values = slots(chart, "data", name).values;
            if (!name.startsWith("grid")) return values;
            const [left, right] = slots(chart, "signals", "xAxis").value.domain;
            const [bottom, top] = slots(chart, "signals", "yAxis").value.domain;
            const places = values.flatMap(({ width, height, values: grid, plane }) =>
              grid.map((value, place) => ({
                plane, x: left + (right - left) * (place % width) / (width - 1),
                y: top - (top - bottom) * Math.floor(place / width) / (height - 1), value,
              })));
            const paths = slots(chart, "data", "steps");
            return places.concat(paths ? paths.values : []);
          }
          function table(chart) {
            const { data, columns } = chart.specification.usermeta.table;
            const text = (value, names) => value == null ? "" : String(names ? names[value] : value);
            const fields = rows(chart, data).map(
              (row) => columns.map(({ field, names }) => text(row[field], names)));
            const used = columns.map((_, place) => fields.some((row) => row[place] !== ""));
            const quoted = (field) =>
              /[",\r\n]/.test(field) ? '"' + field.replaceAll('"', '""') + '"' : field;
            return [columns.map(({ title }) => title), ...fields].map(
              (row) => row.filter((_, place) => used[place]).map(quoted).join(",") + "\n").join("");
          }
          // A picture is for papers and slides, so it has the light theme.
          async function picture(chart, make) {
            const drawn = await view(chart, data.light, { renderer: "none" }).runAsync();
            const made = await make(drawn);
            drawn.finalize();
            return made;
          }
          const formats = {
            SVG: (chart) => picture(chart, async (drawn) =>
              new Blob([await drawn.toSVG()], { type: "image/svg+xml" })),
            // Twice the resolution of the page, for print.
            PNG: (chart) => picture(chart, async (drawn) => {
              const url = (await drawn.toCanvas(2)).toDataURL("image/png");
              const bytes = atob(url.slice(url.indexOf(",") + 1));
              return new Blob([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))],
                { type: "image/png" });
            }),
            CSV: async (chart) => new Blob([table(chart)], { type: "text/csv" }),
          };
          // Charts of several sections may have the same title.
          function fileName(chart) {
            const isShared = charts.some((one) => one !== chart && one.title === chart.title);
            const heading = chart.box.closest("section").querySelector("h2").textContent;
            const words = isShared ? chart.title + " " + heading : chart.title;
            return words.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")
              || "chart";
          }
          function save(blob, name) {
            const link = document.createElement("a");
            link.href = URL.createObjectURL(blob);
            link.download = name;
            link.click();
            setTimeout(() => URL.revokeObjectURL(link.href), 60000);
          }
          for (const chart of charts) {
            chart.buttons = document.createElement("p");
            chart.buttons.className = "save";
            chart.buttons.append("Save as ");
            for (const [format, make] of Object.entries(formats)) {
              if (format === "CSV" && !(chart.specification.usermeta || {}).table) continue;
              const button = document.createElement("button");
              button.type = "button";
              button.textContent = format;
              button.setAttribute("aria-label", "Save " + chart.title + " as " + format);
              button.addEventListener("click", async () => save(
                await make(chart), fileName(chart) + "." + format.toLowerCase()));
              chart.buttons.append(button);
            }
            chart.figure.append(chart.buttons);
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
        """#
}
