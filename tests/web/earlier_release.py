"""The gallery's tables as earlier releases kept them."""

from playhouse.migrations import Runner

from pixstore.gallery import descriptions, models, titles


def unseal_descriptions(gallery):
    """Put what is sealed of each picture into the columns in which releases before 0.2 kept it."""
    for row in gallery.models.picture.select():
        description = descriptions.open_description(gallery, row)
        row.title_sealed = gallery.store.seal_text(description.title, purpose=titles.PICTURE, row_id=row.id)
        row.format, row.width, row.height = description.format, description.width, description.height
        row.size, row.description_sealed = description.size, None
        row.save()


def undo_migrations(gallery, last):
    """Take the tables back to what they were before the migration *last*."""
    unseal_descriptions(gallery)
    runner = Runner(gallery.store.database, str(models.MIGRATIONS), table_name=models.MIGRATION_TABLE)
    runner.down(last)
