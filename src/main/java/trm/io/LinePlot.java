package trm.io;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Lines over training steps with their axes, as SVG elements in a frame of {@value #WIDTH} x {@value #HEIGHT} units. The frame has no
 * background, and its greys and {@link #COLOURS} can be read on a light page as on a dark one.
 *
 * @param yLabel what is drawn, along the y axis
 * @param share y runs from 0 to 1 and reads in per cent; else from 0 to above the greatest value
 * @param lines drawn in this order, later ones above earlier ones
 */
public record LinePlot(String yLabel, boolean share, List<Line> lines) {
    public static final int WIDTH = 560;
    public static final int HEIGHT = 320;

    /** Text and axes. */
    public static final String GREY = "#76808d";

    /** Told apart by people of any colour vision: they differ in brightness too. */
    public static final List<String> COLOURS = List.of("#2a7fd4", "#d9700a", "#12977c", "#c0468f");

    // The lines leave room for tick labels and axis titles.
    private static final int LEFT = 62;
    private static final int RIGHT = 16;
    private static final int TOP = 12;
    private static final int BOTTOM = 48;

    /** How a line looks. */
    public enum Style {
        /** With a marker at each point. */
        MARKED("stroke-width=\"2\""),
        PLAIN("stroke-width=\"2.5\""),
        /** One of several that belong together. */
        THIN("stroke-width=\"1\" opacity=\"0.45\""),
        DASHED("stroke-width=\"2\" stroke-dasharray=\"5 4\" opacity=\"0.75\"");

        private final String attributes;

        Style(String attributes) {
            this.attributes = attributes;
        }
    }

    /** @param points step and value, the steps rising; none may be NaN */
    public record Line(String colour, Style style, List<double[]> points) {
        /** Attributes of its stroke, for a legend too. */
        public String stroke() {
            return "fill=\"none\" stroke=\"" + colour + "\" stroke-linejoin=\"round\" " + style.attributes;
        }
    }

    /** The elements, without an {@code svg} around them; text takes the size of what is around. */
    public String elements() {
        double endX = greatest(0);
        endX = endX > 0 ? endX : 1;
        double stepX = tick(endX);
        double greatestY = greatest(1);
        double stepY = share ? 0.2 : tick(greatestY);
        double topY = share ? 1 : stepY * Math.max(1, Math.ceil(greatestY / stepY - 1e-9));
        StringBuilder out = new StringBuilder();
        for (int k = 0; k * stepY <= topY * (1 + 1e-9); k++) {
            double y = y(k * stepY, topY);
            out.append(format(
                    "<path d=\"M%d %.1fH%d\" stroke=\"%s\"%s/>",
                    LEFT, y, WIDTH - RIGHT, GREY, k == 0 ? "" : " stroke-opacity=\"0.2\""));
            text(out, LEFT - 8, y + 4, "end", share ? Math.round(100 * k * stepY) + " %" : number(k * stepY, stepY));
        }
        for (int k = 0; k * stepX <= endX * (1 + 1e-9); k++) {
            double x = x(k * stepX, endX);
            out.append(format("<path d=\"M%.1f %dv5\" stroke=\"%s\"/>", x, HEIGHT - BOTTOM, GREY));
            text(out, x, HEIGHT - BOTTOM + 19, "middle", number(k * stepX, stepX));
        }
        text(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "middle", "training step");
        out.append(format(
                "<text transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\" fill=\"%s\">%s</text>\n",
                (TOP + HEIGHT - BOTTOM) / 2.0, GREY, escape(yLabel)));
        for (Line line : lines) {
            draw(out, line, endX, topY);
        }
        return out.toString();
    }

    private static void draw(StringBuilder out, Line line, double endX, double topY) {
        List<String> places = new ArrayList<>();
        for (double[] p : line.points) {
            places.add(format("%.1f %.1f", x(p[0], endX), y(Math.min(p[1], topY), topY)));
        }
        if (!places.isEmpty()) {
            out.append(format("<path d=\"M%s\" %s/>\n", String.join("L", places), line.stroke()));
        }
        if (line.style == Style.MARKED) {
            for (String place : places) {
                String[] at = place.split(" ");
                out.append(format(
                        "<circle cx=\"%s\" cy=\"%s\" r=\"%s\" fill=\"%s\"/>\n",
                        at[0], at[1], places.size() > 30 ? "1.5" : "3.5", line.colour));
            }
        }
    }

    private static void text(StringBuilder out, double x, double y, String anchor, String text) {
        out.append(format(
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor, GREY, text));
    }

    private double greatest(int coordinate) {
        return lines.stream()
                .flatMap(line -> line.points.stream())
                .mapToDouble(point -> point[coordinate])
                .max()
                .orElse(0);
    }

    private static double x(double value, double end) {
        return LEFT + value / end * (WIDTH - LEFT - RIGHT);
    }

    private static double y(double value, double top) {
        return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
    }

    /** A round distance between ticks (1, 2 or 5 times a power of ten) that gives at most six of them. */
    static double tick(double max) {
        if (!(max > 0)) {
            return 1;
        }
        double power = Math.pow(10, Math.floor(Math.log10(max / 6)));
        for (int factor : new int[] {1, 2, 5}) {
            if (max / (factor * power) <= 6 + 1e-9) {
                return factor * power;
            }
        }
        return 10 * power;
    }

    /** As many decimals as the distance between ticks needs. */
    private static String number(double value, double step) {
        int decimals = (int) Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
        return format("%." + decimals + "f", value);
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }

    /** Text as content or attribute of an element. */
    public static String escape(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
