package trm.reproduce;

import java.awt.Color;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import trm.io.AtomicFile;
import trm.io.FormatException;

/** A bar chart of published and measured values. Drawn by XChart, which needs Java's desktop module and one font. */
final class ReportChart {
    private static final int WIDTH_PER_ROW = 80;
    private static final int HEIGHT = 500;

    private ReportChart() {}

    /**
     * Writes a PNG; a value that is NaN has no bar.
     *
     * @param spread half the length of the bars of error of the measured values, NaN for none
     * @return why nothing could be drawn, where this Java has no desktop module or no fonts
     * @throws FormatException if the file cannot be written
     */
    static Optional<String> write(
            Path file,
            String title,
            List<String> names,
            List<Double> published,
            List<Double> measured,
            List<Double> spread) {
        if (ModuleLayer.boot().findModule("java.desktop").isEmpty()) {
            return Optional.of("this Java has no module java.desktop");
        }
        System.setProperty("java.awt.headless", "true");
        try {
            byte[] picture = BitmapEncoder.getBitmapBytes(
                    chart(title, names, published, measured, spread), BitmapEncoder.BitmapFormat.PNG);
            AtomicFile.replace(file, channel -> {
                ByteBuffer bytes = ByteBuffer.wrap(picture);
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
            });
            return Optional.empty();
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        } catch (LinkageError | InternalError e) { // no libfreetype, no fonts
            return Optional.of("this Java cannot draw text (" + e + ")");
        }
    }

    private static CategoryChart chart(
            String title, List<String> names, List<Double> published, List<Double> measured, List<Double> spread) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(200 + WIDTH_PER_ROW * names.size())
                .height(HEIGHT)
                .title(title)
                .yAxisTitle("per cent solved")
                .build();
        chart.getStyler().setYAxisMin(0.0).setYAxisMax(100.0);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        chart.getStyler().setXAxisLabelRotation(45).setLegendPosition(LegendPosition.OutsideS);
        chart.addSeries("published", names, orZero(published));
        chart.addSeries("measured", names, orZero(measured), orZero(spread));
        return chart;
    }

    private static List<Double> orZero(List<Double> values) {
        return IntStream.range(0, values.size())
                .mapToObj(i -> values.get(i).isNaN() ? Double.valueOf(0) : values.get(i))
                .toList();
    }
}
