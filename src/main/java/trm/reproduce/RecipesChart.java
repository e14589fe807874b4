package trm.reproduce;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import trm.io.LinePlot;
import trm.io.LinePlot.Line;
import trm.io.LinePlot.Style;

/** Plots of some arms each, with the first arm in grey in all of them, as one SVG file. */
final class RecipesChart {
    /** Arms that one plot holds beside the first: so many colours there are. */
    private static final int MOST = LinePlot.COLOURS.size();

    private static final int HEAD = 46; // title and legend above a plot
    private static final int LETTER = 7; // width of one, about, in text of 12 units

    /**
     * The curves of an arm.
     *
     * @param seeds one for each run, one at least, all evaluated at the same steps
     */
    record Entry(Recipes.Arm arm, List<Curve> seeds) {
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

        /** At each evaluation the median over the seeds. */
        private List<double[]> median() {
            List<double[]> points = new ArrayList<>();
            for (int i = 0; i < seeds.get(0).points().size(); i++) {
                int at = i;
                Spread exact = Spread.of(seeds.stream()
                        .mapToDouble(curve -> curve.points().get(at).exact()));
                points.add(new double[] {seeds.get(0).points().get(i).step(), exact.median()});
            }
            return points;
        }
    }

    private record Plot(String title, List<Entry> entries) {}

    private RecipesChart() {}

    /** @param entries arms that have runs; the first is in every plot */
    static String svg(String title, List<Entry> entries) {
        List<Plot> plots = plots(entries);
        int columns = Math.min(2, Math.max(1, plots.size()));
        int rows = (plots.size() + columns - 1) / columns;
        int width = columns * LinePlot.WIDTH;
        int height = rows * (HEAD + LinePlot.HEIGHT);
        StringBuilder out = new StringBuilder(format(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\""
                        + " aria-label=\"%s\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n",
                width, height, width, height, LinePlot.escape(title)));
        for (int i = 0; i < plots.size(); i++) {
            int x = i % columns * LinePlot.WIDTH;
            int y = i / columns * (HEAD + LinePlot.HEIGHT);
            out.append(format("<g transform=\"translate(%d %d)\">\n", x, y));
            draw(out, plots.get(i));
            out.append("</g>\n");
        }
        return out.append("</svg>\n").toString();
    }

    /** One plot of all arms if the colours suffice, else one for each theme. */
    private static List<Plot> plots(List<Entry> entries) {
        if (entries.isEmpty()) {
            return List.of();
        }
        List<Entry> others = entries.subList(1, entries.size());
        if (others.size() <= MOST) {
            return List.of(new Plot("all arms", entries));
        }
        List<Plot> plots = new ArrayList<>();
        for (Recipes.Theme theme : Recipes.Theme.values()) {
            List<Entry> of = new ArrayList<>(others.stream()
                    .filter(entry -> entry.arm().theme() == theme)
                    .toList());
            if (!of.isEmpty()) {
                of.add(0, entries.get(0));
                plots.add(new Plot(theme.title(), of));
            }
        }
        return plots;
    }

    private static void draw(StringBuilder out, Plot plot) {
        out.append(format(
                "<text x=\"62\" y=\"18\" font-weight=\"bold\" fill=\"%s\">%s</text>\n",
                LinePlot.GREY, LinePlot.escape(plot.title)));
        List<Line> lines = new ArrayList<>();
        int x = 62;
        for (int i = 0; i < plot.entries.size(); i++) {
            Entry entry = plot.entries.get(i);
            String colour = i == 0 ? LinePlot.GREY : LinePlot.COLOURS.get(i - 1);
            out.append(format(
                    "<path d=\"M%d 35h18\" %s/><text x=\"%d\" y=\"39\" fill=\"%s\">%s</text>\n",
                    x,
                    new Line(colour, Style.PLAIN, List.of()).stroke(),
                    x + 24,
                    LinePlot.GREY,
                    LinePlot.escape(entry.arm().name())));
            x += 24 + 16 + LETTER * entry.arm().name().length();
            lines.addAll(entry.lines(colour));
        }
        out.append(format("<g transform=\"translate(0 %d)\">\n", HEAD))
                .append(new LinePlot("unseen puzzles solved", true, lines).elements())
                .append("</g>\n");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
