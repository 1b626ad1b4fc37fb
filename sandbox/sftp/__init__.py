"""The legacy ERP's file server: SFTP on a loopback port, with a host key and a client's key of its own."""
