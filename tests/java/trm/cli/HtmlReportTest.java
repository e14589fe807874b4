package trm.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import trm.data.sudoku.Boards;
import trm.data.sudoku.SudokuPuzzle;

class HtmlReportTest {
    private static final String PUZZLE = "1..4.2....3.3..2";
    private static final String ANSWER = "1324421324313142";

    /** A page of made-up data with everything in it. */
    static HtmlReport example() {
        List<double[]> loss = new ArrayList<>();
        List<double[]> halting = new ArrayList<>();
        List<double[]> training = new ArrayList<>();
        for (int step = 10; step <= 600; step += 10) {
            loss.add(new double[] {step, 1.7 * Math.exp(-step / 150.0) + 0.05 * Math.abs(Math.sin(step))});
            halting.add(new double[] {step, 0.3 * Math.exp(-Math.pow((step - 200) / 120.0, 2))});
            training.add(new double[] {step, 1 - Math.exp(-step / 120.0)});
        }
        List<double[]> unseen = List.of(new double[] {156, 0.4}, new double[] {312, 0.9}, new double[] {600, 0.99});
        int[] answer = Boards.tokens(Boards.parse(ANSWER));
        int[] near = answer.clone();
        near[1] = 3; // the digits 2 and 3
        near[2] = 4;
        SolveTrace.Solution solution = new SolveTrace.Solution(
                SudokuPuzzle.INSTANCE,
                Boards.tokens(Boards.parse(PUZZLE)),
                answer,
                List.of(near, answer, answer, answer, answer, answer, answer, answer),
                new double[] {0.031, 0.97, 0.991, 0.998, 0.999, 0.999, 0.999, 0.999});
        return new HtmlReport(
                "A model & its <puzzles>",
                "Made-up data.",
                List.of(
                        new HtmlReport.Figure("99.17 %", "of unseen puzzles solved"),
                        new HtmlReport.Figure("600", "training steps"),
                        new HtmlReport.Figure("1432", "samples per second")),
                List.of(
                        new HtmlReport.Chart(
                                "Loss",
                                "loss per sample",
                                false,
                                List.of(
                                        new HtmlReport.Series("tokens", HtmlReport.BLUE, false, loss),
                                        new HtmlReport.Series("halting", HtmlReport.ORANGE, false, halting))),
                        new HtmlReport.Chart(
                                "Accuracy",
                                "share that is right",
                                true,
                                List.of(
                                        new HtmlReport.Series("puzzles, training", HtmlReport.ORANGE, true, training),
                                        new HtmlReport.Series("puzzles, unseen", HtmlReport.ORANGE, false, unseen)))),
                "Three puzzles.",
                List.of(new HtmlReport.Story("Puzzle 1", solution), new HtmlReport.Story("Puzzle 2", solution)),
                new TreeMap<>(Map.of("Batch", "64 puzzles", "Seed", "0")),
                "Device cpu");
    }

    @Test
    void pageIsWellFormedAndLoadsNothing() throws Exception {
        String html = example().html();
        assertFalse(html.contains("http"), "a reference to another site");
        assertFalse(html.contains("<script") || html.contains("<link"));
        String xml = html.replace("<!DOCTYPE html>", "")
                .replaceAll("<meta[^>]*>", "")
                .replace("<br>", "<br/>")
                .replace("&nbsp;", " ");
        assertNotNull(DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(xml.getBytes(StandardCharsets.UTF_8))));
        assertTrue(html.contains("<title>A model &amp; its &lt;puzzles&gt;</title>"));
    }

    @Test
    void changedAndWrongCellsAreMarked() {
        String html = example().html();
        assertTrue(html.contains("<td class=\"changed wrong r\">2</td>"), "cell 1 of step 1");
        assertTrue(html.contains("<td class=\"changed r\">3</td>"), "cell 1 of step 2");
        assertTrue(html.contains("halt 3.1 %"));
        assertTrue(html.contains("training step") && html.contains("loss per sample"));
    }

    @Test
    void emptyChartHasAxes() {
        HtmlReport page = new HtmlReport(
                "t",
                "s",
                List.of(),
                List.of(new HtmlReport.Chart(
                        "c", "y", false, List.of(new HtmlReport.Series("none", HtmlReport.BLUE, false, List.of())))),
                "",
                List.of(),
                Map.of(),
                "m");
        String html = page.html();
        assertTrue(html.contains("training step"));
        assertFalse(html.contains("NaN") || html.contains("Infinity"));
    }
}
