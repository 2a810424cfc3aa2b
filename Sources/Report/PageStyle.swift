/// The page's style sheet.
enum PageStyle {
    /// The font of the operating system.
    static let font =
        "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

    static let text = """
        :root { color-scheme: light dark; \(Theme.light.styleVariables) }
        @media (prefers-color-scheme: dark) { :root { \(Theme.dark.styleVariables) } }
        * { box-sizing: border-box; }
        html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
        body {
          margin: 0 auto; max-width: 1100px; padding: 40px 32px 80px;
          background: var(--surface); color: var(--ink);
          font: 16px/1.6 \(font); overflow-wrap: break-word;
        }
        h1, h2, h3 { line-height: 1.25; font-weight: 600; }
        h1 { font-size: 30px; margin: 0; letter-spacing: -0.01em; }
        h2 { font-size: 21px; margin: 0 0 12px; }
        h3 { font-size: 16px; margin: 0 0 10px; }
        p { margin: 0 0 12px; max-width: 72ch; }
        .subtitle { color: var(--muted); margin: 8px 0 0; }
        nav { margin: 24px 0 0; padding: 12px 0; border: solid var(--faint); border-width: 1px 0; }
        nav ul { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 4px 24px; }
        a { color: inherit; text-decoration-color: var(--muted); text-underline-offset: 3px; }
        a:hover { text-decoration-thickness: 2px; }
        :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
        section { margin-top: 56px; scroll-margin-top: 16px; }
        figure { margin: 32px 0 40px; }
        .chart { width: 100%; overflow: hidden; }
        .chart svg { display: block; max-width: 100%; height: auto; }
        figcaption { margin-top: 10px; color: var(--muted); font-size: 14px; max-width: 80ch; }
        .failure { color: var(--bad); margin: 0; }
        .save { margin: 8px 0 0; font-size: 13px; color: var(--muted); }
        .save button {
          margin-left: 6px; padding: 3px 9px; font: inherit; color: var(--ink); cursor: pointer;
          background: var(--raised); border: 1px solid var(--faint); border-radius: 4px;
        }
        .save button:hover { border-color: var(--muted); }
        /* A shadow at a side shows only if there is more to scroll to. */
        .scroll {
          overflow-x: auto; margin: 24px 0;
          background:
            linear-gradient(to right, var(--surface) 50%, transparent) 0 0 / 48px 100% no-repeat local,
            linear-gradient(to left, var(--surface) 50%, transparent) 100% 0 / 48px 100% no-repeat local,
            linear-gradient(to right, rgb(128 128 128 / 0.4), transparent) 0 0 / 14px 100% no-repeat scroll,
            linear-gradient(to left, rgb(128 128 128 / 0.4), transparent) 100% 0 / 14px 100% no-repeat scroll;
        }
        table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
        caption { text-align: left; font-weight: 600; padding-bottom: 8px; }
        th, td { padding: 7px 10px; border-bottom: 1px solid var(--faint); vertical-align: baseline; }
        th { font-weight: 600; color: var(--muted); border-bottom-color: var(--muted); }
        td span { white-space: nowrap; }
        .left { text-align: left; }
        .right { text-align: right; }
        .emphasized td { background: var(--raised); font-weight: 600; }
        .note, .verdict {
          margin: 24px 0; padding: 14px 18px; background: var(--raised);
          border-left: 4px solid var(--tone, var(--muted)); border-radius: 2px;
        }
        .note p:last-child, .verdict p:last-child { margin-bottom: 0; }
        .note strong, .headline { color: var(--tone, var(--ink)); }
        .headline { font-weight: 600; font-size: 17px; margin-bottom: 4px; }
        .warning, .undecided { --tone: var(--warning); }
        .problem, .fails { --tone: var(--bad); }
        .holds { --tone: var(--good); }
        #tooltip {
          position: fixed; z-index: 1; pointer-events: none; white-space: pre-wrap; max-width: 300px;
          padding: 6px 10px; border: 1px solid var(--muted); border-radius: 4px;
          background: var(--surface); font-size: 12px; line-height: 1.45;
          font-variant-numeric: tabular-nums;
        }
        @media (max-width: 600px) {
          body { padding: 24px 16px 56px; font-size: 15px; }
          h1 { font-size: 24px; }
          section { margin-top: 40px; }
          th, td { padding: 7px; }
          /* A wide table becomes a list of its rows, in which each cell repeats its title. */
          .wide, .wide caption, .wide tbody, .wide tr, .wide td { display: block; }
          .wide thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
          .wide tr { padding: 8px; border-bottom: 1px solid var(--faint); }
          .wide tr:first-child { border-top: 1px solid var(--muted); }
          .wide .emphasized { background: var(--raised); }
          .wide td { padding: 2px 0; border: 0; text-align: right; overflow: hidden; }
          .wide td:first-child { font-weight: 600; }
          .wide td:empty { display: none; }
          .wide td::before { content: attr(data-title); float: left; margin-right: 16px; color: var(--muted); }
        }
        @media print {
          :root { color-scheme: light; \(Theme.light.styleVariables) }
          body { max-width: none; padding: 0; font-size: 11pt; }
          section { margin-top: 28px; }
          h2, h3, section > p { break-after: avoid; }
          figure, tr, .note, .verdict { break-inside: avoid; }
          thead { display: table-header-group; }
          .scroll { overflow: visible; background: none; }
          th, td { overflow-wrap: normal; padding: 5px 8px; }
          table { font-size: 9pt; }
          .note, .verdict, .emphasized td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
          #tooltip, .save { display: none; }
        }
        """
}
