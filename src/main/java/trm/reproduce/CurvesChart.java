package trm.reproduce;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import trm.io.LinePlot;
import trm.io.LinePlot.Line;
import trm.io.LinePlot.Style;

/** Plots of the learning curves of some arms each, with the first arm in grey in all of them, as one SVG file. */
final class CurvesChart {
    /** Arms that one plot holds beside the first: so many colours there are. */
    static final int MOST = LinePlot.COLOURS.size();

    private static final int TITLE = 28; // above a plot, then the legend
    private static final int LINE = 18; // of the legend
    private static final int LEFT = 62;
    private static final int LETTER = 7; // width of one, about, in text of 12 units

    /**
     * The curves of an arm.
     *
     * @param seeds one for each run, one at least, all evaluated at the same steps as far as they go
     */
    record Entry(String arm, List<Curve> seeds) {
        private List<Line> lines(String colour) {
            List<Line> lines = new ArrayList<>();
            if (seeds.size() > 1) {
                seeds.forEach(curve -> lines.add(new Line(colour, Style.THIN, points(curve))));
            }
            lines.add(new Line(colour, Style.PLAIN, median()));
            return lines;
        }

        private static List<double[]> points(Curve curve) {
            return curve.points().stream()
                    .map(point -> new double[] {point.step(), point.exact()})
                    .toList();
        }

        /** At each evaluation that all of them have, the median over the seeds. */
        private List<double[]> median() {
            List<double[]> points = new ArrayList<>();
            int common = seeds.stream()
                    .mapToInt(curve -> curve.points().size())
                    .min()
                    .orElse(0);
            for (int i = 0; i < common; i++) {
                int at = i;
                Spread exact = Spread.of(seeds.stream()
                        .mapToDouble(curve -> curve.points().get(at).exact()));
                points.add(new double[] {seeds.get(0).points().get(i).step(), exact.median()});
            }
            return points;
        }
    }

    /** @param entries arms that have runs; the first is in every plot */
    record Plot(String title, List<Entry> entries) {
        /** Lines that the legend takes. */
        private int lines() {
            int lines = 1;
            int x = LEFT;
            for (Entry entry : entries) {
                if (x > LEFT && x + width(entry) > LinePlot.WIDTH) {
                    lines++;
                    x = LEFT;
                }
                x += width(entry);
            }
            return lines;
        }
    }

    /** In the legend. */
    private static int width(Entry entry) {
        return 24 + 16 + LETTER * entry.arm().length();
    }

    private CurvesChart() {}

    static String svg(String title, List<Plot> plots) {
        int columns = Math.min(2, Math.max(1, plots.size()));
        int rows = (plots.size() + columns - 1) / columns;
        int head = TITLE + LINE * plots.stream().mapToInt(Plot::lines).max().orElse(1);
        int width = columns * LinePlot.WIDTH;
        int height = rows * (head + LinePlot.HEIGHT);
        StringBuilder out = new StringBuilder(format(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\""
                        + " aria-label=\"%s\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n",
                width, height, width, height, LinePlot.escape(title)));
        for (int i = 0; i < plots.size(); i++) {
            int x = i % columns * LinePlot.WIDTH;
            int y = i / columns * (head + LinePlot.HEIGHT);
            out.append(format("<g transform=\"translate(%d %d)\">\n", x, y));
            draw(out, plots.get(i), head);
            out.append("</g>\n");
        }
        return out.append("</svg>\n").toString();
    }

    private static void draw(StringBuilder out, Plot plot, int head) {
        out.append(format(
                "<text x=\"%d\" y=\"18\" font-weight=\"bold\" fill=\"%s\">%s</text>\n",
                LEFT, LinePlot.GREY, LinePlot.escape(plot.title)));
        List<Line> lines = new ArrayList<>();
        int x = LEFT;
        int y = TITLE + LINE - 7;
        for (int i = 0; i < plot.entries.size(); i++) {
            Entry entry = plot.entries.get(i);
            String colour = i == 0 ? LinePlot.GREY : LinePlot.COLOURS.get(i - 1);
            if (x > LEFT && x + width(entry) > LinePlot.WIDTH) {
                x = LEFT;
                y += LINE;
            }
            out.append(format(
                    "<path d=\"M%d %dh18\" %s/><text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n",
                    x,
                    y - 4,
                    new Line(colour, Style.PLAIN, List.of()).stroke(),
                    x + 24,
                    y,
                    LinePlot.GREY,
                    LinePlot.escape(entry.arm())));
            x += width(entry);
            lines.addAll(entry.lines(colour));
        }
        out.append(format("<g transform=\"translate(0 %d)\">\n", head))
                .append(new LinePlot("unseen puzzles solved", true, lines).elements())
                .append("</g>\n");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
