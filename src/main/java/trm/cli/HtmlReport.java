package trm.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.data.puzzle.Puzzle;
import trm.io.LinePlot;

/** The report of a run as one HTML page: styles and drawings are inside it, nothing is loaded from elsewhere. */
final class HtmlReport {
    /** A number to put at the head of the page. */
    record Figure(String value, String label) {}

    /** One line of a chart; x rises. {@code dashed} lines have no markers. */
    record Series(String name, String colour, boolean dashed, List<double[]> points) {
        private LinePlot.Line line() {
            return new LinePlot.Line(colour, dashed ? LinePlot.Style.DASHED : LinePlot.Style.MARKED, points);
        }
    }

    /** A line chart over training steps. {@code share}: y runs from 0 to 1 and reads in per cent. */
    record Chart(String title, String yLabel, boolean share, List<Series> series) {}

    /** A board being solved, with a line of text about it. */
    record Story(String caption, SolveTrace.Solution solution) {}

    static final String BLUE = "#2a6fbb";
    static final String ORANGE = "#c8620a";

    private static final String STYLE = """
            :root { color-scheme: light; }
            * { box-sizing: border-box; }
            body { margin: 0; background: #f4f5f7; color: #1d2530; line-height: 1.5;
              font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
            main { max-width: 1160px; margin: 0 auto; padding: 40px 20px 24px; }
            h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
            h2 { font-size: 1.15rem; margin: 0 0 4px; }
            h3 { font-size: 0.95rem; margin: 20px 0 8px; }
            p { margin: 0 0 12px; max-width: 75ch; }
            .quiet { color: #5a6675; }
            .card { background: #fff; border: 1px solid #dfe3e8; border-radius: 10px; padding: 20px; margin-top: 20px; }
            .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
              margin-top: 24px; }
            .figure { background: #fff; border: 1px solid #dfe3e8; border-radius: 10px; padding: 14px 16px; }
            .figure b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
            .figure span { color: #5a6675; font-size: 0.85rem; }
            .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 20px;
              margin-top: 20px; }
            .charts .card { margin-top: 0; }
            svg { display: block; width: 100%; height: auto; }
            .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 0.85rem; margin: 0 0 8px; padding: 0;
              list-style: none; color: #3c4654; }
            .legend svg { display: inline-block; width: 28px; height: 10px; margin-right: 6px; vertical-align: middle; }
            .steps { display: flex; flex-wrap: wrap; gap: 14px; }
            .step { margin: 0; }
            .step figcaption { font-size: 0.8rem; color: #3c4654; margin-bottom: 6px; line-height: 1.35; }
            .step figcaption b { color: #1d2530; }
            table.board { border-collapse: collapse; border: 2px solid #4a5563; }
            table.board td { width: 25px; height: 25px; padding: 0; text-align: center; border: 1px solid #cfd5dc;
              font-size: 0.95rem; font-variant-numeric: tabular-nums; color: #33507a; background: #fff; }
            table.board td.r { border-right: 2px solid #4a5563; }
            table.board td.b { border-bottom: 2px solid #4a5563; }
            table.board td.given { font-weight: 700; color: #1d2530; background: #eef0f3; }
            table.board td.changed { background: #ffe08a; }
            table.board td.wrong { color: #b3141d; font-weight: 700; text-decoration: underline; }
            .key { display: inline-block; min-width: 1.5em; padding: 0 4px; text-align: center;
              border: 1px solid #cfd5dc; border-radius: 3px; }
            .key.given { background: #eef0f3; font-weight: 700; }
            .key.changed { background: #ffe08a; }
            .key.wrong { color: #b3141d; font-weight: 700; text-decoration: underline; }
            table.settings { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin-top: 8px; }
            table.settings th { text-align: left; font-weight: 400; color: #5a6675; padding: 6px 16px 6px 0;
              vertical-align: top; width: 40%; }
            table.settings td { padding: 6px 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
            table.settings tr + tr > * { border-top: 1px solid #e8ebef; }
            footer { color: #5a6675; font-size: 0.85rem; margin-top: 24px; }
            """;

    private final String title;
    private final String summary;
    private final List<Figure> figures;
    private final List<Chart> charts;
    private final String storiesText;
    private final List<Story> stories;
    private final Map<String, String> settings;
    private final String machine;

    HtmlReport(
            String title,
            String summary,
            List<Figure> figures,
            List<Chart> charts,
            String storiesText,
            List<Story> stories,
            Map<String, String> settings,
            String machine) {
        this.title = title;
        this.summary = summary;
        this.figures = figures;
        this.charts = charts;
        this.storiesText = storiesText;
        this.stories = stories;
        this.settings = settings;
        this.machine = machine;
    }

    /** The page. */
    String html() {
        StringBuilder out = new StringBuilder();
        out.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        out.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        out.append("<title>")
                .append(escape(title))
                .append("</title>\n<style>\n")
                .append(STYLE);
        out.append("</style>\n</head>\n<body>\n<main>\n<h1>")
                .append(escape(title))
                .append("</h1>\n");
        out.append("<p class=\"quiet\">").append(escape(summary)).append("</p>\n<div class=\"figures\">\n");
        for (Figure f : figures) {
            out.append("<div class=\"figure\"><b>").append(escape(f.value)).append("</b><span>");
            out.append(escape(f.label)).append("</span></div>\n");
        }
        out.append("</div>\n<div class=\"charts\">\n");
        charts.forEach(chart -> chart(out, chart));
        out.append("</div>\n<section class=\"card\">\n<h2>Puzzles being solved</h2>\n<p class=\"quiet\">");
        out.append(escape(storiesText)).append("</p>\n<ul class=\"legend\">\n");
        out.append("<li><span class=\"key given\">3</span> given</li>\n");
        out.append("<li><span class=\"key changed\">3</span> changed by this step</li>\n");
        out.append("<li><span class=\"key wrong\">3</span> not the solution's digit</li>\n</ul>\n");
        stories.forEach(story -> story(out, story));
        out.append("</section>\n<section class=\"card\">\n<h2>Settings</h2>\n<table class=\"settings\">\n");
        settings.forEach((name, value) -> out.append("<tr><th scope=\"row\">")
                .append(escape(name))
                .append("</th><td>")
                .append(escape(value))
                .append("</td></tr>\n"));
        out.append("</table>\n</section>\n<footer>").append(escape(machine));
        return out.append("</footer>\n</main>\n</body>\n</html>\n").toString();
    }

    private static void story(StringBuilder out, Story story) {
        SolveTrace.Solution s = story.solution;
        out.append("<h3>").append(escape(story.caption)).append("</h3>\n<div class=\"steps\">\n");
        boolean[] none = new boolean[s.puzzle().length];
        step(out, "Puzzle", "&nbsp;", s, s.puzzle(), none, none);
        for (int i = 0; i < s.boards().size(); i++) {
            int[] board = s.boards().get(i);
            String halt = String.format(Locale.ROOT, "halt %.1f %%", 100 * s.haltProbabilities()[i]);
            step(out, "Step " + (i + 1), halt, s, board, s.changed(i), s.wrong(board));
        }
        out.append("</div>\n");
    }

    private static void step(
            StringBuilder out,
            String name,
            String note,
            SolveTrace.Solution solution,
            int[] board,
            boolean[] changed,
            boolean[] wrong) {
        Puzzle kind = solution.kind();
        int columns = kind.columns(board.length);
        int rows = board.length / columns;
        out.append("<figure class=\"step\"><figcaption><b>")
                .append(name)
                .append("</b><br>")
                .append(note);
        out.append("</figcaption><table class=\"board\">\n");
        for (int r = 0; r < rows; r++) {
            out.append("<tr>");
            for (int c = 0; c < columns; c++) {
                int i = r * columns + c;
                List<String> classes = new ArrayList<>();
                add(classes, kind.given(solution.puzzle()[i]), "given");
                add(classes, changed[i], "changed");
                add(classes, wrong[i], "wrong");
                add(classes, c + 1 < columns && (c + 1) % kind.blockColumns(columns) == 0, "r");
                add(classes, r + 1 < rows && (r + 1) % kind.blockRows(rows) == 0, "b");
                out.append(classes.isEmpty() ? "<td>" : "<td class=\"" + String.join(" ", classes) + "\">");
                out.append(kind.given(board[i]) ? escape(kind.glyph(board[i])) : "")
                        .append("</td>");
            }
            out.append("</tr>\n");
        }
        out.append("</table></figure>\n");
    }

    private static void add(List<String> classes, boolean when, String name) {
        if (when) {
            classes.add(name);
        }
    }

    private static void chart(StringBuilder out, Chart chart) {
        out.append("<section class=\"card\">\n<h2>").append(escape(chart.title)).append("</h2>\n");
        out.append("<ul class=\"legend\">\n");
        for (Series s : chart.series) {
            out.append("<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\">");
            out.append(format("<path d=\"M1 5H27\" %s/>", s.line().stroke()));
            out.append(s.dashed ? "" : format("<circle cx=\"14\" cy=\"5\" r=\"3\" fill=\"%s\"/>", s.colour));
            out.append("</svg>").append(escape(s.name)).append("</li>\n");
        }
        out.append(format(
                "</ul>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\" font-size=\"12\">\n",
                LinePlot.WIDTH, LinePlot.HEIGHT, escape(chart.title)));
        List<LinePlot.Line> lines = chart.series.stream().map(Series::line).toList();
        out.append(new LinePlot(chart.yLabel, chart.share, lines).elements());
        out.append("</svg>\n</section>\n");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }

    static String escape(String text) {
        return LinePlot.escape(text);
    }
}
