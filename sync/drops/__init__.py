"""Where files are dropped for us, a folder or a folder on an SFTP server: looked at, read whole, archived or set aside."""
