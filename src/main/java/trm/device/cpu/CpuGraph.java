package trm.device.cpu;

import java.util.List;
import trm.device.DeviceException;
import trm.device.NativeOps;
import trm.device.Recording;
import trm.device.StepGraph;

/** Native calls with their arguments, made again one after the other. */
final class CpuGraph implements StepGraph {
    private final NativeOps.Table table;
    private final Recording recording;
    private final List<String> calls; // what they are, for messages
    private long record; // 0 once closed

    CpuGraph(NativeOps.Table table, Recording recording, long record, List<String> calls) {
        this.table = table;
        this.recording = recording;
        this.record = record;
        this.calls = calls;
    }

    @Override
    public void launch() {
        if (record == 0) {
            throw new IllegalStateException("a record of " + calls.size() + " operations is closed");
        }
        recording.refuse("launch of another record");
        int failed = NativeOps.trm_record_replay(record);
        if (failed >= 0) {
            throw new DeviceException(
                    "recorded " + calls.get(failed) + ": " + table.last_error().getString());
        }
    }

    @Override
    public void close() {
        if (record != 0) {
            NativeOps.trm_record_free(record);
            record = 0;
        }
    }
}
