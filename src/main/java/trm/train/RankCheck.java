package trm.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import trm.device.Backend;
import trm.device.RankExchange;
import trm.device.Staging;
import trm.device.Tensor;
import trm.model.Parameters;

/** Compares what all ranks must have the same bits of: weights, moments, moving average and puzzle vectors. */
final class RankCheck {
    private RankCheck() {}

    /**
     * Compares, on all ranks alike.
     *
     * @throws DivergedException on every rank, if one of them differs from rank 0, with the step and the tensor
     */
    static void require(Backend backend, Staging staging, Parameters parameters, long step) {
        Map<String, String> own = new LinkedHashMap<>();
        for (String name : parameters.names()) {
            own.put(name, digest(staging, parameters.masterOf(name)));
            own.put("average of " + name, digest(staging, parameters.averageOf(name)));
            own.put("first moment of " + name, digest(staging, parameters.moment1Of(name)));
            own.put("second moment of " + name, digest(staging, parameters.moment2Of(name)));
        }
        if (parameters.puzzleTable() != null) {
            own.put("puzzle vectors", digest(staging, parameters.puzzleTable()));
        }
        List<String> names = List.copyOf(own.keySet());
        List<String> all = RankExchange.gather(backend, own.values().stream().collect(Collectors.joining(" ")));
        String[] first = all.get(0).split(" ");
        for (int rank = 1; rank < all.size(); rank++) {
            String[] other = all.get(rank).split(" ");
            for (int i = 0; i < first.length; i++) {
                if (!first[i].equals(other[i])) {
                    throw new DivergedException("step " + step + ": rank " + rank + " has other bits of " + names.get(i)
                            + " than rank 0; the ranks no longer train one model");
                }
            }
        }
    }

    private static String digest(Staging staging, Tensor tensor) {
        CRC32C crc = new CRC32C();
        staging.download(tensor, crc::update);
        return Long.toHexString(crc.getValue());
    }
}
