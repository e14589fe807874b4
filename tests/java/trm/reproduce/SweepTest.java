package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.input.DataException;
import trm.io.FormatException;
import trm.io.RunLock;
import trm.train.Run;

/** Arms, names and reports of sweeps; the runs are made up. */
class SweepTest {
    @TempDir
    private Path temp;

    private Path config;

    @BeforeEach
    void file() throws IOException {
        config = Files.writeString(
                temp.resolve("small.yaml"),
                "data_paths: ['" + temp.resolve("data") + "']\nepochs: 4\neval_interval: 2\n");
    }

    private Sweep sweep(String... arguments) {
        return Sweep.of(config, List.of(arguments));
    }

    private SweepStudy study(String... arguments) {
        return new SweepStudy(sweep(arguments), temp.resolve("out"));
    }

    private static TrainConfig config(SweepStudy study, int arm, int seed) {
        return study.sweep().config(study.sweep().arms().get(arm), seed);
    }

    /** All arms with the first seed, then with the next. */
    @Test
    void combinations() {
        SweepStudy study = study("lr=1e-4,3e-4", "arch.L_cycles=4,6", "seed=0..1", "epochs=8");
        List<PlannedRun> runs = study.runs(List.of(), 2);
        assertEquals(8, runs.size());
        List<String> arms =
                List.of("lr=1e-4,L_cycles=4", "lr=1e-4,L_cycles=6", "lr=3e-4,L_cycles=4", "lr=3e-4,L_cycles=6");
        assertEquals(arms, runs.subList(0, 4).stream().map(PlannedRun::row).toList());
        assertEquals(arms, runs.subList(4, 8).stream().map(PlannedRun::row).toList());
        PlannedRun last = runs.get(7);
        assertEquals(temp.resolve("out/lr=3e-4,L_cycles=6/seed-1"), last.folder());
        assertEquals(3e-4, last.config().learningRate().base());
        assertEquals(6, last.config().arch().recursion().latentSteps());
        assertEquals(8, last.config().schedule().epochs());
        assertEquals(1, last.config().run().seed());
    }

    /** The configuration's own seed where none is named, and its name where nothing else changes. */
    @Test
    void names() throws IOException {
        Files.writeString(config, "seed: 5\n", java.nio.file.StandardOpenOption.APPEND);
        assertEquals(List.of(5L), sweep("lr=1e-4,3e-4").seeds());
        assertEquals("small", sweep("seed=1,7").arms().get(0).name());
        assertEquals(
                "data_paths=__a_b__", // brackets, quotes, the slash
                sweep("data_paths=['a/b'],[c]").arms().get(0).name());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "epochs=8;seed=1 | no key has several values; expected such as lr=1e-4,3e-4 or seed=0..2",
                "lr=1e-4,3e-4;seed=0;lr=1e-3 | lr is named twice; expected each key once, with all its values: lr=a,b",
                "seed=0..2;seed=3 | seed is named twice",
                "+lr=1,2;++lr=3 | lr is named twice",
                "seed=0,x | seed is x; expected whole numbers, such as seed=0..2",
                "lr=1e-4,1e-4 | names a value twice: two arms would have one name",
                "lr=1e-4,0.0001 | the arms lr=1e-4 and lr=0.0001 have the same settings, expected such as differ",
                "data_paths=[a/b],[a_b] | two arms have one name, data_paths=_a_b_: data_paths=[a/b] and data_paths=[a_b]",
                "lr=1e-4,x | override 'lr=x': lr is x; expected a number",
                "lrr=1,2 | unknown key 'lrr'; did you mean 'lr'",
                "seed=0..9999;lr=1,2 | the values and seeds make more than 10000 runs, expected fewer",
            })
    void refused(String arguments, String expected) {
        String message = assertThrows(ConfigException.class, () -> sweep(arguments.split(";")))
                .getMessage();
        assertTrue(message.contains(expected), message);
    }

    @Test
    void aNameThatNoFolderCanHave() {
        String value = "x".repeat(200);
        String message = assertThrows(ConfigException.class, () -> sweep("run_name=" + value + ",b"))
                .getMessage();
        assertTrue(message.contains("has 209 characters, expected at most 200"), message);
    }

    @Test
    void dataThatAreNotThere() {
        SweepStudy study = study("seed=0..1");
        assertThrows(DataException.class, () -> study.prepareData(study.runs(List.of(), 2)));
    }

    private static List<NamedCsvRecord> read(Path file) throws IOException {
        try (CsvReader<NamedCsvRecord> csv = CsvReader.builder().ofNamedCsvRecord(file)) {
            return csv.stream().toList();
        }
    }

    private void make(SweepStudy study, int arm, int seed, double exact, boolean finished) throws IOException {
        MadeRuns.make(
                study.folder(study.sweep().arms().get(arm), seed),
                config(study, arm, seed),
                finished ? 40 : 20,
                finished ? 40 : 20,
                40,
                "10,1e-3,,,,1.0,7680",
                "20,,20,0.25,,2.0,",
                finished ? "40,,40," + exact + ",,4.0," : "30,1e-3,,,,3.0,7680");
    }

    @Test
    void theReportHasMeanSpreadAndBest() throws Exception {
        SweepStudy study = study("lr=1e-4,3e-4,1e-3", "seed=0..1");
        make(study, 0, 0, 0.5, true);
        make(study, 0, 1, 0.7, true);
        make(study, 1, 0, 0.75, true);
        make(study, 1, 1, 0, false);
        Study.Written written = study.report(Map.of("lr=1e-3, seed 0", "no room"));
        List<NamedCsvRecord> arms = read(temp.resolve("out/sweep.csv"));
        assertEquals(
                List.of("1e-4", "3e-4", "1e-3"),
                arms.stream().map(r -> r.getField("lr")).toList());
        assertEquals(
                List.of("2", "1", "0"),
                arms.stream().map(r -> r.getField("finished")).toList());
        assertEquals(0.6, Double.parseDouble(arms.get(0).getField("mean")), 1e-12);
        assertEquals(Math.sqrt(0.02), Double.parseDouble(arms.get(0).getField("standard_deviation")), 1e-12);
        assertEquals("0.5", arms.get(0).getField("least"));
        assertEquals("0.7", arms.get(0).getField("greatest"));
        assertEquals("", arms.get(1).getField("standard_deviation"));
        assertEquals("", arms.get(2).getField("mean"));
        assertEquals(
                List.of("false", "true", "false"),
                arms.stream().map(r -> r.getField("best")).toList());
        List<NamedCsvRecord> runs = read(temp.resolve("out/runs.csv"));
        assertEquals(4, runs.size());
        assertEquals("lr=3e-4/seed-1", runs.get(3).getField("folder"));
        assertEquals("false", runs.get(3).getField("finished"));
        assertEquals("0.25", runs.get(3).getField("score"));
        String text = Files.readString(temp.resolve("out/report.md"));
        assertEquals(text, written.markdown());
        assertTrue(text.contains("**Best: `lr=3e-4`**, 75.00 %. 3 of 6 runs are finished."), text);
        assertTrue(text.contains("| lr=1e-4 | 2 | 60.00 | 14.14 | 50.00 to 70.00 |"), text);
        assertTrue(text.contains("| lr=3e-4 | 1 of 2 | 75.00 | \u2013 | \u2013 |"), text);
        assertTrue(text.contains("- lr=3e-4, seed 1: at step 20 of 40\n- lr=1e-3, seed 0: not run\n"), text);
        assertTrue(text.contains("## Failed\n\n- lr=1e-3, seed 0: no room\n"), text);
        String svg = Files.readString(temp.resolve("out/report.svg"));
        assertEquals(
                "svg",
                DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)))
                        .getDocumentElement()
                        .getTagName());
        assertTrue(svg.contains(">lr=3e-4</text>") && !svg.contains(">lr=1e-3</text>"), svg);
        for (String name : written.files()) {
            assertTrue(Files.isRegularFile(temp.resolve("out").resolve(name)), name);
        }
    }

    /** More arms than colours: the first in each plot. */
    @Test
    void plotsOfManyArms() throws IOException {
        SweepStudy study = study("lr=1,2,3,4,5,6,7");
        for (int arm = 0; arm < 7; arm++) {
            make(study, arm, 0, 0.1 * arm, true);
        }
        String svg = new SweepReport(study, Map.of()).svg();
        assertEquals(2, svg.split(">lr=1</text>", -1).length - 1);
        assertEquals(1, svg.split(">lr=5</text>", -1).length - 1);
        assertTrue(svg.contains(">arms 1 and 2 to 5</text>") && svg.contains(">arms 1 and 6 to 7</text>"), svg);
    }

    @Test
    void runsOfOtherSettings() throws IOException {
        SweepStudy study = study("lr=1e-4,3e-4");
        make(study, 0, 0, 0.5, true);
        SweepStudy other = study("lr=1e-4,3e-4", "epochs=6");
        String message = assertThrows(FormatException.class, () -> other.report(Map.of()))
                .getMessage();
        assertTrue(message.contains("found 'epochs: 4', expected 'epochs: 6'"), message);
        assertThrows(FormatException.class, () -> Reproduction.check(other.runs(List.of(), 1)));
    }

    /** A run that another process holds is passed over, and looked at again when the others are done. */
    @Test
    void runsThatAreHeld() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 16, 4, 1, 8);
        SweepStudy study = study("lr=1e-4,3e-4");
        Path first = study.runs(List.of(), 1).get(0).folder();
        Files.createDirectories(first);
        AtomicReference<RunLock> lock = new AtomicReference<>(RunLock.take(first));
        List<String> trained = new ArrayList<>();
        Reproduction shared = new Reproduction(
                study,
                (settings, folder, resume) -> {
                    assertEquals(folder.equals(first), lock.get() == null, "held runs are left alone");
                    trained.add(folder.getParent().getFileName().toString());
                    if (lock.get() != null) {
                        lock.getAndSet(null).close();
                    }
                    return Run.Outcome.FINISHED;
                },
                line -> {},
                true);
        shared.run(List.of(), 1, Shard.ALL);
        assertEquals(List.of("lr=3e-4", "lr=1e-4"), trained);
        assertTrue(shared.failures().isEmpty());
        assertFalse(RunLock.isHeld(first));
    }
}
