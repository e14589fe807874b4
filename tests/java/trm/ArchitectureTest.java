package trm;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The layers of docs/architecture.md: which package may use which. */
@AnalyzeClasses(packages = "trm", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    /** The one class above trm.device that knows the backends. */
    private static final String DEVICES = "trm.train.Devices";

    private static final String WITHIN_DEVICES = "trm\\.train\\.Devices(\\$.*)?";

    @ArchTest
    static final ArchRule TRAIN = layer(
            "trm.train..",
            "trm.train..",
            "trm.evaluation",
            "trm.lanes",
            "trm.model..",
            "trm.ops..",
            "trm.device",
            "trm.data..",
            "trm.io..",
            "trm.config..",
            "trm.input");

    @ArchTest
    static final ArchRule STATUS = layer("trm.status", "trm.status", "trm.train..");

    @ArchTest
    static final ArchRule EVALUATION = layer(
            "trm.evaluation",
            "trm.evaluation",
            "trm.lanes",
            "trm.model..",
            "trm.ops..",
            "trm.device",
            "trm.data..",
            "trm.config..",
            "trm.input");

    @ArchTest
    static final ArchRule LANES = layer(
            "trm.lanes",
            "trm.lanes",
            "trm.model..",
            "trm.ops..",
            "trm.device",
            "trm.data..",
            "trm.config..",
            "trm.input");

    @ArchTest
    static final ArchRule DEVICES_OPENS_BACKENDS = noClasses()
            .that()
            .haveNameMatching(WITHIN_DEVICES)
            .should()
            .dependOnClassesThat(outside("trm.train..", "trm.device", "trm.device.cpu..", "trm.device.cuda.."))
            .as(DEVICES + " uses, of this project, only trm.train.., trm.device and its backends");

    @ArchTest
    static final ArchRule MODEL = layer("trm.model..", "trm.model..", "trm.ops..", "trm.device", "trm.config..");

    @ArchTest
    static final ArchRule OPS = layer("trm.ops..", "trm.ops..", "trm.device");

    @ArchTest
    static final ArchRule DEVICE = layer("trm.device", "trm.device");

    @ArchTest
    static final ArchRule CPU = layer("trm.device.cpu..", "trm.device.cpu..", "trm.device");

    @ArchTest
    static final ArchRule CUDA = layer("trm.device.cuda..", "trm.device.cuda..", "trm.device");

    @ArchTest
    static final ArchRule DATA = layer("trm.data..", "trm.data..", "trm.input");

    @ArchTest
    static final ArchRule RANDOM = layer("trm.data.random", "trm.data.random", "trm.input");

    @ArchTest
    static final ArchRule TABLE = layer("trm.data.table", "trm.data.table", "trm.input");

    @ArchTest
    static final ArchRule PUZZLE = layer("trm.data.puzzle", "trm.data.puzzle", "trm.input");

    @ArchTest
    static final ArchRule FORMAT = layer("trm.data.format", "trm.data.format", "trm.data.puzzle", "trm.input");

    @ArchTest
    static final ArchRule SUDOKU = kind("trm.data.sudoku");

    @ArchTest
    static final ArchRule MAZE = kind("trm.data.maze");

    @ArchTest
    static final ArchRule ARC = kind("trm.data.arc");

    @ArchTest
    static final ArchRule OWN = kind("trm.data.own");

    @ArchTest
    static final ArchRule IO = layer("trm.io..", "trm.io..", "trm.input");

    @ArchTest
    static final ArchRule CONFIG = layer("trm.config..", "trm.config..", "trm.input");

    @ArchTest
    static final ArchRule INPUT = layer("trm.input", "trm.input");

    /** trm.cli and trm.verify may use everything else, a backend apart: that one is opened by trm.train.Devices. */
    @ArchTest
    static final ArchRule BACKENDS_ARE_OPENED_IN_ONE_PLACE = noClasses()
            .that()
            .resideOutsideOfPackages("trm.device.cpu..", "trm.device.cuda..")
            .and()
            .haveNameNotMatching(WITHIN_DEVICES)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("trm.device.cpu..", "trm.device.cuda..");

    @ArchTest
    static final ArchRule VERIFY_IS_BELOW_CLI = noClasses()
            .that()
            .resideOutsideOfPackage("trm.cli..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("trm.cli..");

    @ArchTest
    static final ArchRule NATIVE_CODE_IS_CALLED_FROM_DEVICE_ONLY = noClasses()
            .that()
            .resideOutsideOfPackages("trm.device", "trm.device.cpu..", "trm.device.cuda..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.bytedeco..");

    @ArchTest
    static final ArchRule NO_CYCLES = slices().matching("trm.(**)").should().beFreeOfCycles();

    /** Every package is named by a rule above, so that a new one cannot slip past them. */
    @ArchTest
    static final ArchRule PACKAGES = classes()
            .should()
            .resideInAnyPackage(
                    "trm.cli..",
                    "trm.verify..",
                    "trm.reproduce..",
                    "trm.status",
                    "trm.train..",
                    "trm.evaluation",
                    "trm.lanes",
                    "trm.model..",
                    "trm.ops..",
                    "trm.device",
                    "trm.device.cpu..",
                    "trm.device.cuda..",
                    "trm.data",
                    "trm.data.arc",
                    "trm.data.format",
                    "trm.data.maze",
                    "trm.data.own",
                    "trm.data.puzzle",
                    "trm.data.random",
                    "trm.data.sudoku",
                    "trm.data.table",
                    "trm.io..",
                    "trm.config..",
                    "trm.input");

    /** A kind of puzzle knows no other kind. */
    private static ArchRule kind(String of) {
        return layer(of, of, "trm.data.format", "trm.data.table", "trm.data.puzzle", "trm.data.random", "trm.input");
    }

    /** Of this project, the classes of {@code of} use the packages {@code allowed} only; Devices has its own rule. */
    private static ArchRule layer(String of, String... allowed) {
        return noClasses()
                .that()
                .resideInAPackage(of)
                .and()
                .haveNameNotMatching(WITHIN_DEVICES)
                .should()
                .dependOnClassesThat(outside(allowed))
                .as("classes in " + of + " use, of this project, only " + String.join(", ", allowed));
    }

    private static DescribedPredicate<JavaClass> outside(String... allowed) {
        return resideInAPackage("trm..").and(not(resideInAnyPackage(allowed)));
    }
}
