//! Rows that the coordinator serves.

use lockstep_data::{Entry, Receiver, Shape, Source, Table};
use lockstep_proto::message::{Dataset, RowsRequest};
use lockstep_proto::settings::{ROW_MESSAGE_LIMIT, ROWS_PART};
use lockstep_proto::wire::cluster_client::ClusterClient;
use lockstep_proto::{Session, wire};
use tokio::runtime::Handle;
use tonic::transport::Channel;

use super::connect::Lost;

/// A catalog of more bytes is refused.
const MOST_CATALOG: u64 = 256 << 20;

/// The third connection: rows come on it, whoever asks.
#[derive(Clone, Debug)]
pub(super) struct RowsClient {
    client: ClusterClient<Channel>,
    session: Session,
}

impl RowsClient {
    pub(super) fn new(channel: Channel, session: Session) -> Self {
        let client = ClusterClient::new(channel).max_decoding_message_size(ROW_MESSAGE_LIMIT);
        Self { client, session }
    }

    /// Rows `first..` of a dataset, as many as its shape says, in their stored type.
    pub(super) async fn table(&self, dataset: Dataset, first: u64, shape: Shape) -> Result<Table, Lost> {
        let wrong = |error: lockstep_data::PartError| Lost::Rows(error.to_string());
        let count = shape.rows;
        let mut receiver = Receiver::new(shape).map_err(wrong)?;
        let take = |part: Vec<u8>| receiver.append(&part).map_err(wrong);
        self.each_part(dataset, first, count, take).await?;
        receiver.finish().map_err(wrong)
    }

    /// What both datasets are, as JSON.
    pub(super) async fn catalog(&self) -> Result<Vec<u8>, Lost> {
        let mut all = Vec::new();
        self.each_part(Dataset::Catalog, 0, MOST_CATALOG, |part| {
            all.extend_from_slice(&part);
            if all.len() as u64 > MOST_CATALOG {
                return Err(Lost::Rows(format!("a catalog of more than {MOST_CATALOG} bytes")));
            }
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn each_part(
        &self,
        dataset: Dataset,
        first: u64,
        count: u64,
        mut take: impl FnMut(Vec<u8>) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        let request = RowsRequest { session: self.session, dataset, first, count };
        let request = wire::RowsRequest::from(request);
        let mut parts = self.client.clone().rows(request).await?.into_inner();
        while let Some(part) = parts.message().await? {
            take(unpacked(part)?)?;
        }
        Ok(())
    }
}

fn unpacked(part: wire::RowsPart) -> Result<Vec<u8>, Lost> {
    let length = part.unpacked as usize;
    if length == 0 {
        return Ok(part.payload.into());
    }
    if length > ROW_MESSAGE_LIMIT.max(2 * ROWS_PART) {
        return Err(Lost::Rows(format!("a part of {length} bytes")));
    }
    zstd::bulk::decompress(&part.payload, length).map_err(|error| Lost::Rows(error.to_string()))
}

/// The blocks of one dataset, from threads that are not the runtime's.
pub(super) struct Served {
    pub(super) rows: RowsClient,
    pub(super) runtime: Handle,
    pub(super) dataset: Dataset,
    pub(super) shape: Shape,
    /// The first row of each block.
    pub(super) starts: Vec<u64>,
}

impl Source for Served {
    fn name(&self) -> String {
        "the coordinator".into()
    }

    fn read(&self, index: usize, entry: &Entry) -> Result<Option<Table>, String> {
        let Some(first) = self.starts.get(index).copied() else { return Ok(None) };
        let shape = Shape { rows: entry.rows, ..self.shape.clone() };
        let table = self.runtime.block_on(self.rows.table(self.dataset, first, shape));
        table.map(Some).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_unpacked_within_bounds() {
        let rows = vec![3; 5000];
        let packed = zstd::bulk::compress(&rows, 1).unwrap();
        let part = |payload: &[u8], unpacked| wire::RowsPart {
            first: 0,
            count: 1,
            payload: payload.to_vec().into(),
            unpacked,
        };
        assert_eq!(unpacked(part(&rows, 0)).unwrap(), rows);
        assert_eq!(unpacked(part(&packed, 5000)).unwrap(), rows);
        assert!(unpacked(part(&packed, 4999)).is_err(), "it is longer than it says");
        assert!(unpacked(part(&packed, u32::MAX)).is_err(), "it would take too much memory");
        assert!(unpacked(part(b"no zstd", 5000)).is_err());
    }
}
